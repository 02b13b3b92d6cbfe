"""Quality measures of one model on one test split.

Confusion matrices have shape [..., K, K], truth in rows and prediction in columns, so that the same definitions serve
the test set itself ([K, K]) and all bootstrap draws at once ([draws, K, K]). A measure whose denominator is zero is
NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: What a confusion matrix decides, in the order in which it is shown. `ppv`, `npv` and `f1` are of the positive class.
DECIDED = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "ppv", "npv", "f1")


@dataclass(frozen=True, slots=True)
class RocCurve:
    """Corners of a ROC curve, from (0, 0) to (1, 1). `thresholds` fall from infinity; a case is positive when its score
    is at least the threshold."""

    false_positive_rate: Floats
    true_positive_rate: Floats
    thresholds: Floats


def predicted_classes(probabilities: Floats, positive: int, threshold: float) -> Ints:
    """The class index called for each row of probabilities [N, K].

    Two classes: the positive one when its probability is at least `threshold`, else the other. More classes: the most
    probable one; a threshold of one class has no say there.
    """
    if probabilities.shape[1] == 2:
        called = probabilities[:, positive] >= threshold
        return np.asarray(np.where(called, positive, 1 - positive), dtype=np.int64)
    return np.asarray(probabilities.argmax(axis=1), dtype=np.int64)


def confusion_matrix(truth: Ints, predicted: Ints, classes: int) -> Ints:
    """Counts [K, K]: row = true class, column = predicted class. `truth` and `predicted` hold indices 0..K-1."""
    cells = np.bincount(truth * classes + predicted, minlength=classes * classes)
    return cells.reshape(classes, classes).astype(np.int64)


def accuracy(matrix: Floats | Ints) -> Floats:
    """Share of all cases on the diagonal; [..., K, K] -> [...]."""
    return ratio(np.trace(matrix, axis1=-2, axis2=-1), matrix.sum(axis=(-2, -1)))


def balanced_accuracy(matrix: Floats | Ints) -> Floats:
    """Mean over the classes of the share of each class that was found; [..., K, K] -> [...]. NaN if a class has no
    case."""
    recalls = ratio(np.diagonal(matrix, axis1=-2, axis2=-1), matrix.sum(axis=-1))
    return np.asarray(recalls.mean(axis=-1), dtype=np.float64)


def sensitivity(matrix: Floats | Ints, positive: int) -> Floats:
    """Share of the positive class's cases that were called positive; [..., K, K] -> [...]."""
    return ratio(matrix[..., positive, positive], matrix[..., positive, :].sum(axis=-1))


def specificity(matrix: Floats | Ints, positive: int) -> Floats:
    """Share of all other cases that were not called positive; [..., K, K] -> [...]."""
    positives = matrix[..., positive, :].sum(axis=-1)
    called = matrix[..., :, positive].sum(axis=-1)
    negatives = matrix.sum(axis=(-2, -1)) - positives
    return ratio(negatives - (called - matrix[..., positive, positive]), negatives)


def negative_predictive_value(matrix: Floats | Ints, positive: int) -> Floats:
    """Share of the cases not called positive that are not of the positive class; [..., K, K] -> [...]."""
    total = matrix.sum(axis=(-2, -1))
    cleared = total - matrix[..., :, positive].sum(axis=-1)
    missed = matrix[..., positive, :].sum(axis=-1) - matrix[..., positive, positive]
    return ratio(cleared - missed, cleared)


def predictive_values(sensitivity: Floats, specificity: Floats, prevalence: float) -> tuple[Floats, Floats]:
    """Positive and negative predictive value where the share `prevalence` (0..1) of the cases is positive: Bayes's
    theorem with the test's own sensitivity and specificity, [...] each -> [...] each. (Altman and Bland, Diagnostic
    tests 2: predictive values, BMJ 309 (1994) 102.)"""
    found, missed = sensitivity * prevalence, (1 - sensitivity) * prevalence
    alarms, cleared = (1 - specificity) * (1 - prevalence), specificity * (1 - prevalence)
    return ratio(found, found + alarms), ratio(cleared, cleared + missed)


def precision(matrix: Floats | Ints, number: int) -> Floats:
    """Share of the cases called class `number` that are of it; [..., K, K] -> [...]."""
    return ratio(matrix[..., number, number], matrix[..., :, number].sum(axis=-1))


def f1_score(matrix: Floats | Ints, number: int) -> Floats:
    """Harmonic mean of a class's precision and recall, 2 TP / (2 TP + FP + FN); [..., K, K] -> [...]."""
    both = matrix[..., number, :].sum(axis=-1) + matrix[..., :, number].sum(axis=-1)
    return ratio(2 * matrix[..., number, number], both)


def threshold_metrics(matrix: Floats | Ints, positive: int) -> dict[str, Floats]:
    """All of DECIDED, by name."""
    return {
        "accuracy": accuracy(matrix),
        "balanced_accuracy": balanced_accuracy(matrix),
        "sensitivity": sensitivity(matrix, positive),
        "specificity": specificity(matrix, positive),
        "ppv": precision(matrix, positive),
        "npv": negative_predictive_value(matrix, positive),
        "f1": f1_score(matrix, positive),
    }


def roc_curve(positive: Bools, score: Floats) -> RocCurve:
    """The ROC curve's corners (points on a straight line between two others are left out). Rates are NaN when a class
    is absent."""
    order = np.argsort(-score, kind="stable")
    last_of_tie = np.r_[np.flatnonzero(np.diff(score[order])), len(score) - 1]
    true_positives = np.r_[0, np.cumsum(positive[order])[last_of_tie]].astype(np.float64)
    false_positives = np.r_[0, np.cumsum(~positive[order])[last_of_tie]].astype(np.float64)
    thresholds = np.r_[np.inf, score[order][last_of_tie]].astype(np.float64)
    keep = np.r_[True, _turns(true_positives, false_positives), True] if len(thresholds) > 2 else slice(None)
    return RocCurve(
        ratio(false_positives, false_positives[-1])[keep],
        ratio(true_positives, true_positives[-1])[keep],
        thresholds[keep],
    )


def _turns(y: Floats, x: Floats) -> Bools:
    """For each inner point, whether the path changes its direction there (exact: the coordinates are whole numbers)."""
    dx, dy = np.diff(x), np.diff(y)
    return np.asarray(dx[:-1] * dy[1:] != dx[1:] * dy[:-1], dtype=np.bool_)


def ratio(numerator: object, denominator: object) -> Floats:
    """Element by element; NaN where the denominator is 0."""
    top, bottom = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    quotient = np.full(np.broadcast_shapes(top.shape, bottom.shape), np.nan)
    np.divide(top, bottom, out=quotient, where=bottom != 0)
    return quotient
