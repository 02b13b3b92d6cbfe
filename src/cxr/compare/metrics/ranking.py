"""What the order of the scores decides, for many sets of weights at once: AUC, average precision, and the specificity
at a given sensitivity.

The scores are sorted once. A resample of patients is then a set of weights in that order, and each measure a few
cumulative sums: no case is copied and nothing is sorted again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr.compare.metrics.confusion import Bools, Floats, ratio

#: Whole weights, or any that are not negative. Whole ones of a small type are several times as quick.
Weights = NDArray[Any]
Sums = NDArray[Any]

#: Weights (sets x cases) that are worked on at once: what fits into a processor's cache.
BLOCK_WEIGHTS = 1 << 18
#: Sums of whole weights are exact; the product with a share may miss the whole number by a rounding.
SLACK = 1e-9


@dataclass(frozen=True, slots=True)
class Ranked:
    """For each set of weights: area under the ROC curve, average precision, and the confusion matrices [..., 2, 2]
    (negative first) at the largest threshold that reaches the asked sensitivity, with those thresholds (None when none
    was asked). NaN where a class has no weight."""

    auc: Floats
    average_precision: Floats
    matrices: Floats | None = None
    thresholds: Floats | None = None


class Ranking:
    """Cases in the order of their scores.

    `positive` and `score` have shape [N]. `weight_of` [N] says which of the weights is a case's (its patient's, say);
    None: each case has its own.
    """

    def __init__(self, positive: Bools, score: Floats, weight_of: NDArray[np.intp] | None = None) -> None:
        order = np.argsort(-score, kind="stable")
        is_positive = np.asarray(positive, dtype=np.bool_)[order]
        weights = order if weight_of is None else np.asarray(weight_of)[order]
        self._positives, self._negatives = weights[is_positive], weights[~is_positive]
        found, others = score[order][is_positive], -score[order][~is_positive]
        last = np.r_[found[1:] != found[:-1], True] if len(found) else np.zeros(0, np.bool_)
        self._levels = found[last]
        self._last = None if last.all() else np.flatnonzero(last)
        #: How many negatives score above each level, and how many at least as high.
        self._above = np.searchsorted(others, -self._levels, side="left")
        self._reached = np.searchsorted(others, -self._levels, side="right")
        self._tied = not np.array_equal(self._above, self._reached)

    def __call__(self, weights: Weights, *, sensitivity: float | None = None) -> Ranked:
        """Measures for weights [..., W] -> [...]. AUC is the chance that a positive case scores above a negative one,
        ties counting one half (Mann-Whitney's U: Hanley and McNeil, Radiology 143 (1982) 29-36). Average precision is
        the sum over the thresholds of (recall gained) x precision, without interpolation; cases of equal score come in
        together."""
        flat = weights.reshape(-1, weights.shape[-1])
        parts = [self._block(block, sensitivity) for block in self._blocks(flat)]
        shape = weights.shape[:-1]
        auc = np.concatenate([part.auc for part in parts]).reshape(shape)
        average_precision = np.concatenate([part.average_precision for part in parts]).reshape(shape)
        if sensitivity is None:
            return Ranked(auc, average_precision)
        matrices = np.concatenate([part.matrices for part in parts if part.matrices is not None])
        thresholds = np.concatenate([part.thresholds for part in parts if part.thresholds is not None])
        return Ranked(auc, average_precision, matrices.reshape(*shape, 2, 2), thresholds.reshape(shape))

    def _blocks(self, weights: Weights) -> Iterator[Weights]:
        rows = max(1, BLOCK_WEIGHTS // max(len(self._positives) + len(self._negatives), 1))
        for start in range(0, max(len(weights), 1), rows):
            yield weights[start : start + rows]

    def _block(self, weights: Weights, sensitivity: float | None) -> Ranked:
        gained, found = _sums(weights, self._positives)
        wrong = _sums(weights, self._negatives)[1]
        positives, negatives = found[:, -1], wrong[:, -1]
        if self._last is None:
            found = found[:, 1:]
        else:
            found = np.take(found[:, 1:], self._last, axis=1)
            gained = np.diff(found, axis=1, prepend=found.dtype.type(0))
        alarms = np.take(wrong, self._reached, axis=1)
        beaten = alarms + np.take(wrong, self._above, axis=1) if self._tied else 2 * alarms
        np.subtract(2 * negatives[:, None], beaten, out=beaten)
        wins = np.multiply(gained, beaten, out=beaten).sum(axis=1) / 2
        precision = np.add(found, alarms, dtype=np.float64)
        np.maximum(precision, np.finfo(np.float64).tiny, out=precision)
        np.divide(found, precision, out=precision)
        gained_precision = np.multiply(gained, precision, out=precision).sum(axis=1)
        made = Ranked(ratio(wins, positives * negatives), ratio(gained_precision, positives))
        if sensitivity is None:
            return made
        return self._at_sensitivity(made, found, alarms, positives, negatives, sensitivity)

    def _at_sensitivity(
        self, made: Ranked, found: Sums, alarms: Sums, positives: Sums, negatives: Sums, least: float
    ) -> Ranked:
        """The point on the ROC curve of the largest threshold with a sensitivity of at least `least`."""
        matrices = np.full((len(positives), 2, 2), np.nan)
        thresholds = np.full(len(positives), np.nan)
        if len(self._levels):
            level = (found >= (least * positives * (1 - SLACK))[:, None]).argmax(axis=1)
            row = np.arange(len(level))
            hits, false = found[row, level], alarms[row, level]
            cells = np.stack([negatives - false, false, positives - hits, hits], axis=1).reshape(-1, 2, 2)
            found_any = positives > 0  # without a positive case no threshold reaches anything
            matrices = np.where(found_any[:, None, None], cells, np.nan)
            thresholds = np.where(found_any, self._levels[level], np.nan)
        return Ranked(made.auc, made.average_precision, matrices, thresholds)


def roc_auc(positive: Bools, score: Floats, weights: Floats | None = None) -> Floats:
    """Area under the ROC curve of cases [N]; with case weights [..., N] one area for each leading index: [...]. NaN
    where a class has no weight."""
    return Ranking(positive, score)(np.ones(len(score)) if weights is None else weights).auc


def _sums(weights: Weights, chosen: NDArray[np.intp]) -> tuple[Weights, Sums]:
    """Weights [D, W] of the chosen cases in their order, [D, chosen], and added up from 0 on, [D, chosen + 1]."""
    taken = np.take(weights, chosen, axis=1)
    whole = np.issubdtype(weights.dtype, np.integer)
    sums: Sums = np.zeros((len(weights), len(chosen) + 1), np.int64 if whole else np.float64)
    np.cumsum(taken, axis=1, dtype=sums.dtype, out=sums[:, 1:])
    return taken, sums
