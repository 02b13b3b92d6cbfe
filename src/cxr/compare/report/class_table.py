"""With more than two classes: what each model reached on each class, and on average."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cxr.compare.nouns import ClassReport, Comparison, Row
from cxr.compare.report import words
from cxr.compare.report.naming import has_many_classes
from cxr.compare.statistics.estimates import Estimate

MEAN_OF_CLASSES = "mean of the classes"
#: What is told of each class, with the measure of all classes that is its mean (None: there is none).
MEANS: Mapping[str, str | None] = {
    "precision": None,
    "recall": "balanced_accuracy",
    "f1": "macro_f1",
    "auc": "macro_auc",
    "average_precision": "macro_average_precision",
}
HEADS = ("Precision", "Recall", "F1", "AUC", "Average precision")


@dataclass(frozen=True, slots=True)
class ClassLine:
    """One row of the comparison on one class, or on average: the estimates of MEANS, None where there is none."""

    row: Row
    estimates: tuple[Estimate | None, ...]

    @property
    def cells(self) -> list[str]:
        """The estimates in words."""
        return [words.UNKNOWN if estimate is None else words.area(estimate) for estimate in self.estimates]


@dataclass(frozen=True, slots=True)
class ClassBlock:
    """All rows on one class of so many images, or on the mean of the classes."""

    name: str
    images: int
    lines: tuple[ClassLine, ...]


def class_blocks(comparison: Comparison) -> list[ClassBlock]:
    """Class by class what each row reached, and last the mean of the classes (of the recalls that is the balanced
    accuracy). Empty for two classes."""
    if not has_many_classes(comparison):
        return []
    blocks = []
    for number, name in enumerate(comparison.classes):
        lines = tuple(ClassLine(row, _of_class(row.per_class[number])) for row in comparison.rows)
        blocks.append(ClassBlock(name, comparison.rows[0].per_class[number].support, lines))
    means = tuple(ClassLine(row, _means(row)) for row in comparison.rows)
    return [*blocks, ClassBlock(MEAN_OF_CLASSES, comparison.test_set.images, means)]


def class_lines(row: Row, comparison: Comparison) -> list[tuple[str, int, ClassLine]]:
    """One row's classes with their images, and last their mean."""
    own = [(block, line) for block in class_blocks(comparison) for line in block.lines if line.row is row]
    return [(block.name, block.images, line) for block, line in own]


def _of_class(report: ClassReport) -> tuple[Estimate, ...]:
    return (report.precision, report.recall, report.f1, report.auc, report.average_precision)


def _means(row: Row) -> tuple[Estimate | None, ...]:
    return tuple(row.metrics[mean] if mean else None for mean in MEANS.values())
