"""The operating point, and the area under the ROC curve, from scores alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cxr.bundle import Threshold

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
    distinct = np.unique(np.asarray(scores, dtype=np.float64))
    candidates = np.concatenate([distinct[:1], (distinct[:-1] + distinct[1:]) / 2])
    sensitivity = _share_at_least(scores[positive], candidates)
    specificity = 1.0 - _share_at_least(scores[~positive], candidates)
    youden = sensitivity + specificity
    best = np.flatnonzero(youden >= youden.max() - 1e-12)
    chosen = best[np.argmin(np.abs(candidates[best] - 0.5))]
    return Threshold(
        value=float(candidates[chosen]),
        chosen_by="max-youden",
        chosen_on=chosen_on,
        sensitivity=float(sensitivity[chosen]),
        specificity=float(specificity[chosen]),
    )


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


def _share_at_least(scores: Scores, thresholds: Scores) -> Scores:
    """For each threshold the share of `scores` that reach it."""
    ordered = np.sort(np.asarray(scores, dtype=np.float64))
    return 1.0 - np.searchsorted(ordered, thresholds, side="left") / len(ordered)
