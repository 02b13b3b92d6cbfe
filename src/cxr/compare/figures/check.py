"""Which published figures cannot be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from cxr.compare.figures.document import Figure, Report, Share
from cxr.compare.figures.matrices import Matrix, can_be, figure_of, two_class_matrices
from cxr.compare.figures.stated import Stated

#: So many matrices or counts are told; of more only the number.
SHOWN = 5


@dataclass(frozen=True)
class Finding:
    """What is said of one entry: whether it can be (None: not decided), why, and what it must have been, as counts of
    a share or as confusion matrices; `solutions` is how many there are (None: not counted)."""

    name: str
    consistent: bool | None
    message: str
    solutions: int | None = None
    counts: tuple[int, ...] = ()
    matrices: tuple[Matrix, ...] = ()


def check_figures(entries: Sequence[Share | Report]) -> list[Finding]:
    """A finding for each entry, in order."""
    return [_check_share(entry) if isinstance(entry, Share) else _check_report(entry) for entry in entries]


def _check_share(share: Share) -> Finding:
    counts = share.value.counts(share.of)
    found = Finding(share.name, True, "", len(counts), tuple(counts[:SHOWN]))
    if not counts:
        return _said(found, False, f"no count of {share.of:,} gives {share.value.text}: {_nearest(share)}")
    listed = _counted(counts, share.of)
    if share.count is not None and share.count not in counts:
        said = f"{share.count:,} of {share.of:,} is {share.value.printed(Fraction(share.count, share.of))}"
        return _said(found, False, f"{said}, not {share.value.text}, which is {listed}")
    return _said(found, True, f"{share.value.text} is {listed}")


def _nearest(share: Share) -> str:
    below = math.floor(share.value.low * share.of)
    neighbours = [count for count in (below, below + 1) if 0 <= count <= share.of]
    return " and ".join(
        f"{count:,} of {share.of:,} is {share.value.printed(Fraction(count, share.of))}" for count in neighbours
    )


def _counted(counts: range, of: int) -> str:
    if len(counts) == 1:
        return f"{counts[0]:,} of {of:,}"
    return f"one of {len(counts):,} counts of {of:,}, from {counts[0]:,} to {counts[-1]:,}"


def _check_report(report: Report) -> Finding:
    if report.confusion is not None:
        return _check_printed_matrix(report, report.confusion)
    if len(report.support) > 2:
        return _check_many_classes(report)
    matrices = two_class_matrices(report, report.figures)
    if matrices is None:
        return Finding(report.name, None, "not decided: too many matrices to try; state recall or a smaller test set")
    if not matrices:
        return Finding(report.name, False, f"no confusion matrix gives these figures{_culprits(report)}", 0)
    found = Finding(report.name, True, "", len(matrices), matrices=tuple(matrices[:SHOWN]))
    if len(matrices) == 1:
        return _said(found, True, f"the only confusion matrix that fits: {_written(matrices[0])}")
    return _said(found, True, f"{len(matrices):,} confusion matrices fit, {_written(matrices[0])} is one")


def _check_many_classes(report: Report) -> Finding:
    possible = can_be(report, report.figures)
    if possible is None:
        return Finding(report.name, None, "not decided: too many matrices to try; state recall of every class")
    if not possible:
        return Finding(report.name, False, f"no confusion matrix gives these figures{_culprits(report)}")
    return Finding(report.name, True, "a diagonal and column sums fit; single cells were not searched")


def _check_printed_matrix(report: Report, matrix: Matrix) -> Finding:
    found = Finding(report.name, True, "", None, matrices=(matrix,))
    names = list(report.support)
    wrong = [
        f"{sum(row):,} images of {name} in the matrix, {report.support[name]:,} in the support"
        for name, row in zip(names, matrix, strict=True)
        if sum(row) != report.support[name]
    ]
    is_of_these_images = not wrong
    for (name, label), figure in report.figures.items():
        if name == "auc":
            fits = not is_of_these_images or matrix in (two_class_matrices(report, _only(report, matrix, figure)) or [])
            wrong += [] if fits else [f"an AUC of {figure.text} is impossible with this operating point"]
            continue
        value = figure_of(matrix, name, names.index(label) if label else -1)
        if value is None or not figure.holds(value):
            is_now = "not defined" if value is None else figure.printed(value)
            wrong.append(f"{_called((name, label))} is {is_now} by the matrix, not {figure.text}")
    if wrong:
        return _said(found, False, "; ".join(wrong))
    return _said(found, True, f"{_written(matrix)} gives all figures")


def _only(report: Report, matrix: Matrix, area: Stated) -> Mapping[Figure, Stated]:
    """The AUC and, exactly, the recalls of a matrix: what it takes to see whether they go together."""
    figures = {("auc", ""): area}
    for number, (name, size) in enumerate(report.support.items()):
        recall = Fraction(matrix[number][number], size)
        figures["recall", name] = Stated(str(recall), recall, recall, 0, False)
    return figures


def _culprits(report: Report) -> str:
    """The figures without any one of which the others could be."""
    alone = []
    for figure in report.figures:
        others = {key: value for key, value in report.figures.items() if key != figure}
        fits = can_be(report, others) if len(report.support) > 2 else two_class_matrices(report, others)
        if fits:
            alone.append(_called(figure))
    return f"; they would fit without {' or without '.join(alone)}" if alone else ""


def _called(figure: Figure) -> str:
    name, label = figure
    return f"{name.replace('_', ' ')} of {label}" if label else name.replace("_", " ")


def _written(matrix: Matrix) -> str:
    return str([list(row) for row in matrix]).replace(" ", "")


def _said(found: Finding, consistent: bool, message: str) -> Finding:
    return Finding(found.name, consistent, message, found.solutions, found.counts, found.matrices)
