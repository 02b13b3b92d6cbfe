"""Intervals by the patient-cluster bootstrap.

Images of one patient resemble each other, so patients are drawn, not images: each draw takes as many patients as
there are, with replacement, and every image counts as often as its patient was drawn. The interval holds the middle
95 % of the measure over the draws (percentile method: Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
chapter 13; clusters: Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8).

A draw is a weight for each patient. Measures take the weights: nothing is copied, and a million images fit.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cxr.compare.metrics import Bools, Floats, Ints, threshold_metrics
from cxr.compare.ranking import Ranking

DRAWS = 2_000
SEED = 20_180_222
LEVEL = 0.95
#: How many weights (draws x patients) are held at once: 64 MB as float64.
CHUNK_WEIGHTS = 8_000_000

Name = TypeVar("Name", bound=Hashable)
#: Weights of the patients [chunk, patients] -> each measure's name and values [chunk].
Measure = Callable[[Floats], dict[Name, Floats]]
OnDraws = Callable[[int, int], None]


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
    """What the confusion matrix decides, and `auc`, over `draws` resamples of the patients: name -> float64 [draws].

    The draws depend on the seed and on the set of patients only: models scored on the same images get the same draws
    (so their differences are paired), in whatever order the rows stand. NaN where a draw lacks a class.
    """
    patient, patients = patient_numbers(cases.patients)
    counts = _confusion_by_patient(cases, patient, patients)
    ranking = Ranking(cases.is_positive, cases.score, patient)

    def measure(weights: Floats) -> dict[str, Floats]:
        matrices = (weights @ counts).reshape(-1, cases.classes, cases.classes)
        return {**threshold_metrics(matrices, cases.positive), "auc": ranking(weights).auc}

    return resample([measure], patients, draws=draws, seed=seed)[0]


def patient_numbers(patients: Sequence[str]) -> tuple[NDArray[np.intp], int]:
    """Each image's patient as a number [N], and how many patients there are. Numbers follow the keys' order, so that
    the draws do not depend on the rows' order."""
    keys, number = np.unique(np.asarray(patients, dtype=np.str_), return_inverse=True)
    return number.reshape(-1), len(keys)


def resample(
    measures: Sequence[Measure[Name]], patients: int, *, draws: int, seed: int, on_draws: OnDraws | None = None
) -> list[dict[Name, Floats]]:
    """Each of `measures` over the same `draws` resamples of the patients: name -> float64 [draws]. Differences between
    them are therefore paired, draw by draw. `on_draws` is told (draws made, draws asked for). Measures run side by side
    on the machine's cores (NumPy lets go of the interpreter while it adds up)."""
    parts: list[dict[Name, list[Floats]]] = [{} for _ in measures]
    done = 0
    with ThreadPoolExecutor(max_workers=min(len(measures), os.cpu_count() or 1)) as pool:
        for weights in _patient_weights(patients, draws=draws, seed=seed):
            made = pool.map(lambda measure, weights=weights: measure(weights), measures)
            for own, values in zip(parts, made, strict=True):
                for name, each in values.items():
                    own.setdefault(name, []).append(each)
            done += len(weights)
            if on_draws is not None:
                on_draws(done, draws)
    return [{name: np.concatenate(values) for name, values in own.items()} for own in parts]


def percentile_interval(values: Floats, *, level: float = LEVEL) -> Interval:
    """The middle `level` of the draws, undefined draws left out."""
    defined = values[~np.isnan(values)]
    undefined = len(values) - len(defined)
    if not len(defined):
        return Interval(float("nan"), float("nan"), undefined)
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(defined, [tail, 100 - tail])
    return Interval(float(low), float(high), undefined)


def by_log_odds(draws: Floats, value: float) -> Floats:
    """The draws of a share or an area in 0..1, each carried away from the value on the scale of its log odds by the
    slope that this scale has there. Near 0 and 1 resamples crowd between the value and the edge; these reach further
    inwards and never over it. Unchanged where the value is 0 or 1 itself."""
    if not 0 < value < 1:
        return draws
    odds = math.log(value / (1 - value)) + (draws - value) / (value * (1 - value))
    # exp(-700) is still a number: beyond it the share is 0 anyway.
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -700, 700))), dtype=np.float64)


def reflected(draws: Floats, value: float) -> Floats:
    """The draws on the other side of the value: their percentile interval is the basic interval of `value` (Davison and
    Hinkley 1997, section 5.2.1). Of a measure that resampling makes larger it takes off what resampling puts on."""
    return np.asarray(2 * value - draws, dtype=np.float64)


def _confusion_by_patient(cases: Cases, patient: NDArray[np.intp], patients: int) -> Floats:
    """Each patient's confusion matrix, flattened: [patients, K * K]."""
    cells = cases.classes * cases.classes
    cell = cases.truth * cases.classes + cases.predicted
    return np.bincount(patient * cells + cell, minlength=patients * cells).reshape(patients, cells).astype(np.float64)


def _patient_weights(patients: int, *, draws: int, seed: int) -> Iterator[Floats]:
    """How often each patient was drawn, [chunk, patients], in chunks that together are `draws` long."""
    generator = np.random.default_rng(seed)
    chunk = max(1, CHUNK_WEIGHTS // max(patients, 1))
    for start in range(0, draws, chunk):
        weights = np.empty((min(chunk, draws - start), patients))
        for row in weights:
            row[:] = np.bincount(generator.integers(patients, size=patients), minlength=patients)
        yield weights
