"""Measures of probabilities that need no threshold beside the ROC curve's: precision and recall, Brier, log loss,
calibration.

`weights` [..., N] are non-negative case weights, one measure for each leading index, so that the same definitions serve
the test set itself (ones) and all bootstrap draws at once. NaN where nothing has weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cxr.compare.metrics.confusion import Bools, Floats, Ints, ratio
from cxr.local_baseline.judging.calibration import FLOOR

#: Bins of equal width of a reliability diagram. (Guo et al. 2017 took 15, for test sets of 10,000 images and more.)
BINS = 10


@dataclass(frozen=True, slots=True)
class PrecisionRecallCurve:
    """Corners of a precision-recall curve, recall rising. NaN when there is no positive case."""

    recall: Floats
    precision: Floats


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The cases whose probability lies in [low, high) (the last bin: up to and with 1): their number, mean probability
    and the share for which it came true."""

    low: float
    high: float
    cases: int
    mean_probability: float
    share_true: float


def precision_recall_curve(positive: Bools, score: Floats) -> PrecisionRecallCurve:
    """One corner for each distinct score, from the highest on."""
    order = np.argsort(-score, kind="stable")
    ends = np.r_[np.flatnonzero(np.diff(score[order])), len(score) - 1]
    found = np.cumsum(positive[order])[ends].astype(np.float64)
    return PrecisionRecallCurve(ratio(found, found[-1]), ratio(found, ends + 1.0))


def squared_errors(probabilities: Floats, truth: Ints) -> Floats:
    """Each case's Brier score (Brier, Monthly Weather Review 78 (1950) 1-3): [N]. For two classes the squared error of
    the positive class's probability, for more the sum over the classes, as is the custom."""
    wanted = np.eye(probabilities.shape[1])[truth]
    total = np.square(probabilities - wanted).sum(axis=1)
    return np.asarray(total / 2 if probabilities.shape[1] == 2 else total, dtype=np.float64)


def log_losses(probabilities: Floats, truth: Ints) -> Floats:
    """Each case's cross-entropy in nats: [N]. A probability of 0 counts as 2^-25."""
    of_truth = probabilities[np.arange(len(truth)), truth]
    return np.asarray(-np.log(np.clip(of_truth, FLOOR, 1.0)), dtype=np.float64)


def stated(probabilities: Floats, truth: Ints, positive: int) -> tuple[Floats, Bools]:
    """What probabilities [N, K] stated of each case, and whether it came true: [N] each. Two classes: the positive
    class's probability; more: that of the most probable class."""
    if probabilities.shape[1] == 2:
        return probabilities[:, positive], np.asarray(truth == positive, dtype=np.bool_)
    return probabilities.max(axis=1), np.asarray(probabilities.argmax(axis=1) == truth, dtype=np.bool_)


def bin_numbers(probability: Floats, bins: int = BINS) -> Ints:
    """Which bin of a reliability diagram each probability [N] in 0..1 is in: 0..bins-1."""
    return np.asarray(np.minimum((probability * bins).astype(np.int64), bins - 1))


def reliability(probability: Floats, came_true: Bools, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
    """The reliability diagram's bins that have cases: probabilities [N] in 0..1 and whether each came true."""
    number = bin_numbers(probability, bins)
    made = []
    for bin_number in np.unique(number):
        inside = number == bin_number
        made.append(
            ReliabilityBin(
                low=bin_number / bins,
                high=(bin_number + 1) / bins,
                cases=int(inside.sum()),
                mean_probability=float(probability[inside].mean()),
                share_true=float(came_true[inside].mean()),
            )
        )
    return tuple(made)


def calibration_error(bins: tuple[ReliabilityBin, ...]) -> float:
    """The expected calibration error: the mean over the cases of |mean probability - share that came true| of their
    bin (Guo et al. 2017, equation 3). NaN without cases."""
    cases = sum(each.cases for each in bins)
    if not cases:
        return float("nan")
    return sum(each.cases * abs(each.mean_probability - each.share_true) for each in bins) / cases
