"""Intervals by the patient-cluster bootstrap.

Images of one patient resemble each other, so patients are drawn, not images: each draw takes as many patients as
there are, with replacement, and every image counts as often as its patient was drawn. The interval holds the middle
95 % of the measure over the draws (percentile method: Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
chapter 13; clusters: Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cxr.compare.metrics import METRICS, Bools, Floats, Ints, WeightedAuc, threshold_metrics

DRAWS = 2_000
SEED = 20_180_222
LEVEL = 0.95
#: How many weights (draws x images) are held at once: 32 MB as float64.
CHUNK_WEIGHTS = 4_000_000

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Cases:
    """What one model made of the test split, one entry an image: true and called class (indices 0..K-1), the positive
    class's probability, and the patient key."""

    truth: Ints
    predicted: Ints
    score: Floats
    patients: Sequence[str]
    classes: int
    positive: int

    @property
    def is_positive(self) -> Bools:
        """Which images are of the positive class."""
        return np.asarray(self.truth == self.positive, dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval; NaN ends where no draw defined the measure. `undefined_draws` were left out."""

    low: float
    high: float
    undefined_draws: int = 0


def bootstrap_draws(cases: Cases, *, draws: int = DRAWS, seed: int = SEED) -> dict[str, Floats]:
    """Every measure of METRICS over `draws` resamples of the patients: name -> float64 [draws].

    The draws depend on the seed and on the set of patients only: models scored on the same images get the same draws
    (so their differences are paired), in whatever order the rows stand. NaN where a draw lacks a class.
    """
    keys, patient = np.unique(np.asarray(cases.patients, dtype=np.str_), return_inverse=True)
    counts = _confusion_by_patient(cases, patient, len(keys))
    auc = WeightedAuc(cases.is_positive, cases.score)
    patient_in_order = patient[auc.order]
    parts: dict[str, list[Floats]] = {name: [] for name in METRICS}
    for weights in _patient_weights(len(keys), len(patient), draws=draws, seed=seed):
        matrices = (weights @ counts).reshape(-1, cases.classes, cases.classes)
        for name, values in threshold_metrics(matrices, cases.positive).items():
            parts[name].append(values)
        parts["auc"].append(auc.in_order(weights[:, patient_in_order]))
    return {name: np.concatenate(values) for name, values in parts.items()}


def bootstrap_measures(
    patients: Sequence[str], measure: Callable[[Floats], dict[Name, Floats]], *, draws: int = DRAWS, seed: int = SEED
) -> dict[Name, Floats]:
    """Whatever `measure` makes of image weights [chunk, N] (name -> float64 [chunk]), over `draws` resamples of the
    patients: name -> float64 [draws]. The draws are those of `bootstrap_draws`."""
    keys, patient = np.unique(np.asarray(patients, dtype=np.str_), return_inverse=True)
    parts: dict[Name, list[Floats]] = {}
    for weights in _patient_weights(len(keys), len(patient), draws=draws, seed=seed):
        for name, values in measure(weights[:, patient]).items():
            parts.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in parts.items()}


def percentile_interval(values: Floats, *, level: float = LEVEL) -> Interval:
    """The middle `level` of the draws, undefined draws left out."""
    defined = values[~np.isnan(values)]
    undefined = len(values) - len(defined)
    if not len(defined):
        return Interval(float("nan"), float("nan"), undefined)
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(defined, [tail, 100 - tail])
    return Interval(float(low), float(high), undefined)


def _confusion_by_patient(cases: Cases, patient: NDArray[np.intp], patients: int) -> Floats:
    """Each patient's confusion matrix, flattened: [patients, K * K]."""
    cells = cases.classes * cases.classes
    cell = cases.truth * cases.classes + cases.predicted
    return np.bincount(patient * cells + cell, minlength=patients * cells).reshape(patients, cells).astype(np.float64)


def _patient_weights(patients: int, images: int, *, draws: int, seed: int) -> Iterator[Floats]:
    """How often each patient was drawn, [chunk, patients], in chunks that together are `draws` long."""
    generator = np.random.default_rng(seed)
    chunk = max(1, CHUNK_WEIGHTS // max(images, 1))
    for start in range(0, draws, chunk):
        size = min(chunk, draws - start)
        drawn = generator.integers(patients, size=(size, patients))
        row = np.arange(size)[:, None] * patients
        yield np.bincount((drawn + row).ravel(), minlength=size * patients).reshape(size, patients).astype(np.float64)
