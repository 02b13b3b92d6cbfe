"""What an evaluation is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from cxr.bundle import Bundle
from cxr.compare.metrics.confusion import Ints, RocCurve
from cxr.compare.metrics.probabilities import PrecisionRecallCurve, ReliabilityBin
from cxr.compare.nouns import ClassReport, Draws, Estimate
from cxr.compare.predictions.table import Predictions
from cxr.manifests.manifest import Manifest


@dataclass(frozen=True, slots=True)
class EtiologyRecall:
    """The images of one label and etiology ("" where the file's name does not tell), and the share called by that
    label."""

    label: str
    etiology: str
    images: int
    recall: Estimate


@dataclass(frozen=True, slots=True)
class SplitPoint:
    """What the bundle's threshold gives on one split."""

    split: str
    images: int
    patients: int
    measures: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class Shift:
    """How much larger a measure is on the judged split than on the validation split. `is_marked`: the interval of the
    difference does not hold 0, so that chance alone does not explain it."""

    measure: str
    difference: Estimate
    is_marked: bool


@dataclass(frozen=True, slots=True)
class Calibratedness:
    """How far probabilities can be taken at their word: log loss in nats, expected calibration error, and the
    reliability diagram's bins. Two classes: of the positive class's probability; more: of the called class's."""

    brier: float
    log_loss: float
    calibration_error: float
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True)
class Evaluation:
    """All that is said of one bundle on one split. `points` are the validation split (where it can be scored) and the
    judged one; `uncalibrated` is what the model itself says, None for a bundle without calibration. `notes` say what
    could not be done, and why."""

    bundle: Bundle
    manifest: Manifest
    split: str
    images: int
    patients: int
    classes: tuple[str, ...]
    positive_class: str
    metrics: Mapping[str, Estimate]
    reports: tuple[ClassReport, ...]
    etiologies: tuple[EtiologyRecall, ...]
    confusion: Ints
    roc: RocCurve
    precision_recall: PrecisionRecallCurve
    calibrated: Calibratedness
    uncalibrated: Calibratedness | None
    points: tuple[SplitPoint, ...]
    shifts: tuple[Shift, ...]
    predictions: Predictions
    draws: Draws
    created: datetime
    notes: tuple[str, ...] = ()

    @property
    def is_binary(self) -> bool:
        """Whether a threshold decides."""
        return len(self.classes) == 2
