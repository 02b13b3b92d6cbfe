"""What a comparison is made of: estimates, rows, and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from cxr.bundle import Bundle, Threshold
from cxr.compare.metrics import Ints, RocCurve
from cxr.compare.predictions import Predictions
from cxr.compare.testset import TestSet
from cxr.manifests.manifest import Manifest

REPORT_FILE = "report.html"
RESULTS_FILE = "results.json"


class RowKind(StrEnum):
    """A floor is what no learning at all would reach: the least that a model has to beat."""

    MODEL = "model"
    FLOOR = "floor"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measure on the test split and its interval (NaN where it is not defined); all in 0..1."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Draws:
    """How intervals are made: the number of resamples and their seed."""

    count: int
    seed: int


@dataclass(frozen=True)
class Row:
    """Everything that table and report say of one model. `confusion` [K, K] has the truth in rows, classes in the
    comparison's order; `latency_ms`, `model_size_bytes` and `threshold` are None for a floor."""

    name: str
    kind: RowKind
    trained_by: str
    metrics: Mapping[str, Estimate]
    confusion: Ints
    roc: RocCurve
    stand_in: bool = False
    threshold: Threshold | None = None
    latency_ms: float | None = None
    model_size_bytes: int | None = None
    bundle: Bundle | None = None
    predictions: Predictions | None = None

    @property
    def operating_point(self) -> tuple[float, float]:
        """Where the model's own threshold puts it on the ROC curve: (1 - specificity, sensitivity)."""
        return 1 - self.metrics["specificity"].value, self.metrics["sensitivity"].value


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where every number comes from: what was typed, when, with which versions, on what machine."""

    command: str
    created: datetime
    versions: Mapping[str, str]
    machine: str


@dataclass(frozen=True)
class Comparison:
    """The result. `rows` are the models in the order they were given, then the floors."""

    classes: tuple[str, ...]
    positive_class: str
    test_set: TestSet
    rows: tuple[Row, ...]
    draws: Draws
    level: float
    provenance: Provenance
    manifest: Manifest
    output: Path

    @property
    def models(self) -> tuple[Row, ...]:
        """The rows that are models."""
        return tuple(row for row in self.rows if row.kind is RowKind.MODEL)

    @property
    def report_path(self) -> Path:
        """The report: one HTML file that needs no other."""
        return self.output / REPORT_FILE

    @property
    def results_path(self) -> Path:
        """The same numbers for machines."""
        return self.output / RESULTS_FILE
