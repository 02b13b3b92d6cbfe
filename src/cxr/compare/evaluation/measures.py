"""All measures of one model on one split as a function of the images' weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cxr.compare.bootstrap import bootstrap_measures, percentile_interval
from cxr.compare.metrics import (
    Bools,
    Floats,
    Ints,
    WeightedAuc,
    f1_score,
    precision,
    predicted_classes,
    sensitivity,
    threshold_metrics,
)
from cxr.compare.nouns import Draws, Estimate
from cxr.compare.probability_metrics import (
    WeightedAveragePrecision,
    log_losses,
    squared_errors,
    weighted_mean,
)
from cxr.manifests.manifest import Manifest

#: (measure, what of: "" for the whole, a class, or label/etiology).
Name = tuple[str, str]
WHOLE = ""


@dataclass(frozen=True)
class Scored:
    """A split's images as one model sees them: probabilities [N, K] in the order of `classes`, true and called class
    numbers [N], patient keys, and `label/etiology` kinds."""

    probabilities: Floats
    truth: Ints
    called: Ints
    patients: list[str]
    kinds: list[str]
    classes: tuple[str, ...]
    positive: int

    @property
    def is_positive(self) -> Bools:
        """Which images are of the positive class."""
        return np.asarray(self.truth == self.positive, dtype=np.bool_)

    @property
    def cells(self) -> Ints:
        """Each image's cell of the flattened confusion matrix."""
        return self.truth * len(self.classes) + self.called


@dataclass(frozen=True)
class Measured:
    """Every measure's value and its bootstrap draws [draws]."""

    values: dict[Name, float]
    draws: dict[Name, Floats]

    def estimate(self, measure: str, of: str = WHOLE) -> Estimate:
        """Value and interval."""
        interval = percentile_interval(self.draws[measure, of])
        return Estimate(self.values[measure, of], interval.low, interval.high)


def scored(probabilities: Floats, manifest: Manifest, split: str, positive_class: str, threshold: float) -> Scored:
    """The split's images with calibrated `probabilities` [N, K] in the order of the manifest's classes and rows."""
    rows, classes = manifest.split(split), manifest.classes
    positive = classes.index(positive_class)
    numbers = {name: number for number, name in enumerate(classes)}
    return Scored(
        probabilities=probabilities,
        truth=np.array([numbers[label] for label in rows["label"]], dtype=np.int64),
        called=predicted_classes(probabilities, positive, threshold),
        patients=rows["patient"].tolist(),
        kinds=[f"{label}/{etiology}" for label, etiology in zip(rows["label"], rows["etiology"], strict=True)],
        classes=classes,
        positive=positive,
    )


def measured(cases: Scored, draws: Draws) -> Measured:
    """All measures, with draws that resample patients."""
    drawn = bootstrap_measures(cases.patients, _Ruler(cases), draws=draws.count, seed=draws.seed)
    return Measured(values_of(cases), drawn)


def values_of(cases: Scored) -> dict[Name, float]:
    """All measures of the images as they are."""
    return {name: float(value[0]) for name, value in _Ruler(cases)(np.ones((1, len(cases.truth)))).items()}


class _Ruler:
    """Image weights [D, N] -> every measure [D]."""

    def __init__(self, cases: Scored) -> None:
        count = len(cases.classes)
        self._cases = cases
        self._in_cell = np.eye(count * count)[cases.cells]
        each = range(count)
        self._auc = [WeightedAuc(cases.truth == number, cases.probabilities[:, number]) for number in each]
        self._precision = [
            WeightedAveragePrecision(cases.truth == number, cases.probabilities[:, number]) for number in each
        ]
        self._brier = squared_errors(cases.probabilities, cases.truth)
        self._log_loss = log_losses(cases.probabilities, cases.truth)
        self._right = (cases.called == cases.truth).astype(np.float64)
        kinds = np.array(cases.kinds, dtype=np.str_)
        self._kinds = {str(kind): (kinds == kind).astype(np.float64) for kind in np.unique(kinds)}

    def __call__(self, weights: Floats) -> dict[Name, Floats]:
        cases, count = self._cases, len(self._cases.classes)
        matrices = (weights @ self._in_cell).reshape(-1, count, count)
        made: dict[Name, Floats] = {
            (name, WHOLE): values for name, values in threshold_metrics(matrices, cases.positive).items()
        }
        for number, name in enumerate(cases.classes):
            made["precision", name] = precision(matrices, number)
            made["recall", name] = sensitivity(matrices, number)
            made["f1", name] = f1_score(matrices, number)
            made["auc", name] = self._auc[number](weights)
            made["average_precision", name] = self._precision[number](weights)
        positive = cases.classes[cases.positive]
        made["auc", WHOLE] = made["auc", positive]
        made["average_precision", WHOLE] = made["average_precision", positive]
        for measure in ("auc", "average_precision", "f1"):
            every = [made[measure, name] for name in cases.classes]
            made[f"macro_{measure}", WHOLE] = np.mean(every, axis=0)
        made["brier", WHOLE] = weighted_mean(self._brier, weights)
        made["log_loss", WHOLE] = weighted_mean(self._log_loss, weights)
        for kind, inside in self._kinds.items():
            made["recall", kind] = _share(weights, inside, self._right)
        return made


def _share(weights: Floats, inside: Floats, right: Floats) -> Floats:
    total = weights @ inside
    found = weights @ (inside * right)
    return np.asarray(np.divide(found, total, out=np.full(len(total), np.nan), where=total > 0), dtype=np.float64)
