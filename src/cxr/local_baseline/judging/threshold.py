"""The operating point, and the area under the ROC curve, from scores alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cxr.bundle import Threshold
from cxr.errors import UsageError

Scores = npt.NDArray[np.floating]
Truth = npt.NDArray[np.bool_]


def youden_threshold(scores: Scores, positive: Truth, chosen_on: str) -> Threshold:
    """The threshold with the largest Youden index (sensitivity + specificity - 1; Youden, Cancer 1950).

    `scores` [N] are probabilities of the positive class, `positive` [N] the truth. Candidates are the midpoints
    between neighbouring scores, so that the point is as far as possible from any image seen; among equals the one
    nearest to 0.5 is taken. With one class only, 0.5.
    """
    if positive.all() or not positive.any():
        return Threshold(0.5, "default", chosen_on)
    candidates, sensitivity, specificity = _candidates(scores, positive)
    youden = sensitivity + specificity
    best = np.flatnonzero(youden >= youden.max() - 1e-12)
    chosen = int(best[np.argmin(np.abs(candidates[best] - 0.5))])
    return _threshold(candidates, sensitivity, specificity, chosen, "max-youden", chosen_on)


def sensitivity_threshold(scores: Scores, positive: Truth, least: float, chosen_on: str) -> Threshold:
    """The largest threshold that still finds the share `least` (more than 0, at most 1) of the positive images.

    Arguments and candidates as for `youden_threshold`. Raises UsageError for another share; without any positive image
    0.5.
    """
    if not 0 < least <= 1:
        raise UsageError(f"a sensitivity of {least:g}: it is a share, more than 0 and at most 1", hint="0.95, say")
    if not positive.any():
        return Threshold(0.5, "default", chosen_on)
    candidates, sensitivity, specificity = _candidates(scores, positive)
    # Candidates rise, so sensitivity falls; the lowest candidate finds all.
    chosen = int(np.flatnonzero(sensitivity >= least - 1e-12)[-1])
    words = f"sensitivity of at least {100 * least:g} %"
    return _threshold(candidates, sensitivity, specificity, chosen, words, chosen_on)


def roc_auc(scores: Scores, positive: Truth) -> float:
    """The probability that a positive image scores above a negative one, ties counting half (Mann-Whitney); NaN with
    one class."""
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return float("nan")
    _, group, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2.0
    rank_sum = float(mean_rank[group][positive].sum())
    return (rank_sum - positives * (positives + 1) / 2.0) / (positives * negatives)


def _candidates(scores: Scores, positive: Truth) -> tuple[Scores, Scores, Scores]:
    """Rising thresholds, one below each distinct score, and the sensitivity and specificity at each."""
    distinct = np.unique(np.asarray(scores, dtype=np.float64))
    candidates = np.concatenate([distinct[:1], (distinct[:-1] + distinct[1:]) / 2])
    negatives = scores[~positive]
    specificity = 1.0 - _share_at_least(negatives, candidates) if len(negatives) else np.full(len(candidates), np.nan)
    return candidates, _share_at_least(scores[positive], candidates), specificity


def _threshold(
    candidates: Scores, sensitivity: Scores, specificity: Scores, chosen: int, chosen_by: str, chosen_on: str
) -> Threshold:
    return Threshold(
        value=float(candidates[chosen]),
        chosen_by=chosen_by,
        chosen_on=chosen_on,
        sensitivity=float(sensitivity[chosen]),
        specificity=float(specificity[chosen]),
    )


def _share_at_least(scores: Scores, thresholds: Scores) -> Scores:
    """For each threshold the share of `scores` that reach it."""
    ordered = np.sort(np.asarray(scores, dtype=np.float64))
    return 1.0 - np.searchsorted(ordered, thresholds, side="left") / len(ordered)
