"""What a comparison is made of: estimates, rows, and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from cxr.bundle import Bundle, Threshold
from cxr.compare.deployments import Deployment
from cxr.compare.effort import Effort
from cxr.compare.metrics.confusion import Ints, RocCurve
from cxr.compare.mistakes import ModelMistakes
from cxr.compare.overlap import Overlap
from cxr.compare.predictions.table import Predictions
from cxr.compare.statistics.against_reference import ReferenceComparison
from cxr.compare.statistics.estimates import Draws, Estimate
from cxr.compare.statistics.intervals import Proportion
from cxr.compare.subgroups.judge import GroupResult, worst_group
from cxr.compare.testset import TestSet
from cxr.manifests.manifest import Manifest

__all__ = [
    "ClassReport",
    "Comparison",
    "Draws",
    "Estimate",
    "JudgedPoint",
    "PointName",
    "Provenance",
    "Row",
    "RowKind",
    "predictions_folder",
]

REPORT_FILE = "report.html"
RESULTS_FILE = "results.json"
PREDICTIONS_FOLDER = "predictions"


def predictions_folder(output: Path, bundle_hash: str) -> Path:
    """Where a comparison in the folder `output` keeps what that bundle answered."""
    return output / PREDICTIONS_FOLDER / bundle_hash[:16]


class RowKind(StrEnum):
    """A floor is what no learning at all would reach: the least that a model has to beat."""

    MODEL = "model"
    FLOOR = "floor"


@dataclass(frozen=True, slots=True)
class ClassReport:
    """One class against the rest. `support`: its images; `auc` and `average_precision` are of its probability."""

    label: str
    support: int
    precision: Estimate
    recall: Estimate
    f1: Estimate
    auc: Estimate
    average_precision: Estimate


class PointName(StrEnum):
    """Where a threshold comes from: with the bundle, one half, or (for show only) from the test split itself."""

    SHIPPED = "shipped"
    HALF = "half"
    ORACLE = "oracle"


@dataclass(frozen=True)
class JudgedPoint:
    """What one threshold gives on the test split (None: the most probable class is called). `proportions` are counts
    with exact intervals, which take images as independent. A point that `is_oracle` was chosen on these very images:
    nobody can work at it, and it supports no claim."""

    name: PointName
    threshold: float | None
    metrics: Mapping[str, Estimate]
    proportions: Mapping[str, Proportion]

    @property
    def is_oracle(self) -> bool:
        """Whether the test split chose the threshold."""
        return self.name is PointName.ORACLE


@dataclass(frozen=True)
class Row:
    """Everything that table and report say of one model. `confusion` [K, K] has the truth in rows, classes in the
    comparison's order; `latency_ms`, `model_size_bytes` and `threshold` are None for a floor. `metrics` are at the
    bundle's own threshold, `points` at that and at others; of more than two classes, which are called by the highest
    probability, there are `per_class` ones. `floors_not_cleared`: floors whose AUC is not below the
    model's interval, the highest first; `groups`, `effort` and `deployments` (its
    verified exports) are a model's."""

    name: str
    kind: RowKind
    trained_by: str
    metrics: Mapping[str, Estimate]
    confusion: Ints
    roc: RocCurve
    stand_in: bool = False
    threshold: Threshold | None = None
    latency_ms: float | None = None
    #: The model takes files only: decoding is within `latency_ms`, and takes about `decoding_ms` of it.
    latency_includes_decoding: bool = False
    decoding_ms: float | None = None
    model_size_bytes: int | None = None
    bundle: Bundle | None = None
    predictions: Predictions | None = None
    points: tuple[JudgedPoint, ...] = ()
    per_class: tuple[ClassReport, ...] = ()
    #: The share called by their label of each kind of image, label/etiology ("label/" where the name does not tell).
    kinds: Mapping[str, Estimate] = field(default_factory=dict)
    floors_not_cleared: tuple[str, ...] = ()
    groups: tuple[GroupResult, ...] = ()
    effort: Effort | None = None
    deployments: tuple[Deployment, ...] = ()

    @property
    def worst_group(self) -> GroupResult | None:
        """The subgroup of the lowest AUC, of those with enough images to say."""
        return worst_group(self.groups)

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
    #: None where there is one model only.
    against: ReferenceComparison | None = None
    #: The share of positive images for which predictive values are given beside the test's own; None: for no other.
    prevalence: float | None = None
    #: The sensitivity of the oracle's point; None: not shown.
    oracle_sensitivity: float | None = None
    #: What the test split shares with train and validation of the same manifest; None: not looked at.
    overlap: Overlap | None = None
    #: What could not be done, and why.
    notes: tuple[str, ...] = ()
    #: Each model's worst mistakes, with pictures where they may be shown.
    mistakes: tuple[ModelMistakes, ...] = ()

    @property
    def floors(self) -> tuple[Row, ...]:
        """The rows that are floors."""
        return tuple(row for row in self.rows if row.kind is RowKind.FLOOR)

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
