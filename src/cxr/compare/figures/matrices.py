"""The confusion matrices that give all the figures that were printed.

With two classes the matrix is two numbers (how many of each class were called right), so all are tried. With more,
each class has a diagonal cell and a column sum; the sums must fit together, and the mean of the recalls be the balanced
accuracy, which is necessary and nearly sufficient: what stands outside the diagonal is not searched.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from cxr.compare.figures.document import Figure, Report
from cxr.compare.figures.stated import Stated

Matrix = tuple[tuple[int, ...], ...]
#: Candidates beyond this are not tried.
MAX_CANDIDATES = 20_000_000
#: With more than two classes, too, the mean of the classes' recalls.
BALANCED: Figure = ("balanced_accuracy", "")

Grid = NDArray[np.int64]
Chosen = NDArray[np.bool_]


def two_class_matrices(report: Report, figures: Mapping[Figure, Stated]) -> list[Matrix] | None:
    """All matrices of two classes that give `figures` (those of the report, or some of them), in order; None when
    there are too many to try."""
    names = list(report.support)
    sizes = [report.support[name] for name in names]
    ranges = [
        figures["recall", name].counts(size) if ("recall", name) in figures else range(size + 1)
        for name, size in zip(names, sizes, strict=True)
    ]
    if len(ranges[0]) * len(ranges[1]) > MAX_CANDIDATES:
        return None
    first, second = (np.arange(each.start, each.stop, dtype=np.int64) for each in ranges)
    right = (first[:, None] + np.zeros_like(second), second + np.zeros_like(first)[:, None])
    chosen = np.ones(right[0].shape, dtype=np.bool_)
    for (name, label), figure in figures.items():
        chosen &= _fits(name, names.index(label) if label else -1, figure, right, (sizes[0], sizes[1]))
    return [
        ((int(a), sizes[0] - int(a)), (sizes[1] - int(b), int(b)))
        for a, b in zip(right[0][chosen], right[1][chosen], strict=True)
    ]


def _fits(name: str, of: int, figure: Stated, right: tuple[Grid, Grid], sizes: tuple[int, int]) -> Chosen:
    """Which candidates give one figure; a figure with nothing to divide by fits none."""
    if name == "accuracy":
        return _between(figure, right[0] + right[1], np.full_like(right[0], sum(sizes)))
    if name == "balanced_accuracy":
        both = right[0] * sizes[1] + right[1] * sizes[0]
        return _between(figure, both, np.full_like(both, 2 * sizes[0] * sizes[1]))
    if name == "auc":
        return _area_fits(figure, right, sizes)
    called = right[of] + (sizes[1 - of] - right[1 - of])
    if name == "precision":
        return _between(figure, right[of], called)
    if name == "f1":
        return _between(figure, 2 * right[of], called + sizes[of])
    return _between(figure, right[of], np.full_like(called, sizes[of]))


def _area_fits(figure: Stated, right: tuple[Grid, Grid], sizes: tuple[int, int]) -> Chosen:
    """An empirical ROC curve rises from (0, 0) through the operating point (f, t) to (1, 1): its area is at least
    t (1 - f) and at most 1 - f (1 - t), whatever it does elsewhere; and it is a whole number of half pairs."""
    pairs = sizes[0] * sizes[1]
    if not _half_pairs(figure, pairs):
        return np.zeros(right[0].shape, dtype=np.bool_)
    least = right[0] * right[1]
    most = pairs - (sizes[0] - right[0]) * (sizes[1] - right[1])
    low, high = float(figure.low * pairs), float(figure.high * pairs)
    return np.asarray((least <= high) & (most >= low))


def _half_pairs(figure: Stated, pairs: int) -> range:
    return figure.counts(2 * pairs)


def _between(figure: Stated, top: Grid, bottom: Grid) -> Chosen:
    """low <= top / bottom <= high, in whole numbers."""
    low, high = figure.low, figure.high
    return np.asarray(
        (bottom > 0)
        & (top * low.denominator >= low.numerator * bottom)
        & (top * high.denominator <= high.numerator * bottom)
    )


def can_be(report: Report, figures: Mapping[Figure, Stated]) -> bool | None:
    """Whether diagonal cells and column sums of more than two classes can give `figures`; None when there are too many
    to try. Where the mean recall makes them too many, they are tried without it, for what cannot be without it cannot
    be at all."""
    mean_recall = figures.get(BALANCED)
    if mean_recall is None:
        return _fit_together(report, figures, None)
    tried = _fit_together(report, figures, mean_recall)
    return False if tried is None and _fit_together(report, figures, None) is False else tried


def _fit_together(report: Report, figures: Mapping[Figure, Stated], mean_recall: Stated | None) -> bool | None:
    """Class by class, all that can be reached together: images called right, the sum of the recalls (where it is looked
    at; in units of which each class's images hold a whole number), and for these the sums of the columns so far, one
    bit a sum."""
    total = sum(report.support.values())
    unit, every_sum = math.lcm(*report.support.values()) if mean_recall else 0, (1 << (total + 1)) - 1
    reached = {(0, 0): 1}
    for name, size in report.support.items():
        pairs = _diagonal_and_column(name, size, total, figures)
        if pairs is None or len(pairs) * len(reached) > MAX_CANDIDATES:
            return None
        each, found = unit // size, dict[tuple[int, int], int]()
        for (right, recalls), sums in reached.items():
            for cell, column in pairs:
                key = (right + cell, recalls + cell * each)
                found[key] = found.get(key, 0) | (sums << column & every_sum)
        reached = found
    accuracy = figures.get(("accuracy", ""))
    return any(
        sums >> total
        and (accuracy is None or accuracy.holds(Fraction(right, total)))
        and (mean_recall is None or mean_recall.holds(Fraction(recalls, unit * len(report.support))))
        for (right, recalls), sums in reached.items()
    )


def _diagonal_and_column(
    name: str, size: int, total: int, figures: Mapping[Figure, Stated]
) -> list[tuple[int, int]] | None:
    recall, precision, f1 = (figures.get((figure, name)) for figure in ("recall", "precision", "f1"))
    cells = recall.counts(size) if recall else range(size + 1)
    if len(cells) * total > MAX_CANDIDATES:
        return None
    return [
        (cell, column)
        for cell in cells
        for column in range(cell, total - size + cell + 1)
        if (precision is None or (column > 0 and precision.holds(Fraction(cell, column))))
        and (f1 is None or f1.holds(Fraction(2 * cell, size + column)))
    ]


def figure_of(matrix: Matrix, name: str, of: int) -> Fraction | None:
    """A figure of a printed confusion matrix (truth in rows): of the whole, or of class number `of`; None where there
    is nothing to divide by."""
    rows = [sum(row) for row in matrix]
    right = [matrix[number][number] for number in range(len(matrix))]
    column = sum(row[of] for row in matrix)
    if name == "balanced_accuracy":
        return (
            sum((Fraction(r, n) for r, n in zip(right, rows, strict=True)), Fraction(0)) / len(rows)
            if all(rows)
            else None
        )
    top, bottom = {
        "accuracy": (sum(right), sum(rows)),
        "precision": (right[of], column),
        "recall": (right[of], rows[of]),
        "f1": (2 * right[of], rows[of] + column),
    }[name]
    return Fraction(top, bottom) if bottom else None
