"""Intervals by the patient-cluster bootstrap.

Images of one patient resemble each other, so patients are drawn, not images: each draw takes as many patients as
there are, with replacement, and every image counts as often as its patient was drawn. The interval holds the middle
95 % of the measure over the draws (percentile method: Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
chapter 13; clusters: Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8), and of an AUC a
normal interval on the scale of log odds with the draws' standard error.

A draw is a weight for each patient. Measures take the weights: nothing is copied, and a million images fit.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cxr.compare.metrics.confusion import Bools, Floats, Ints, threshold_metrics
from cxr.compare.metrics.ranking import Ranking

DRAWS = 2_000
SEED = 20_180_222
LEVEL = 0.95
#: Draws of two areas at a time on the scale of log odds: enough for the ends of joint intervals.
NORMAL_DRAWS = 20_000
#: How documents name the intervals of single models.
METHOD = "patient-cluster bootstrap, percentile; AUC normal on the scale of log odds"
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


def area_interval(draws: Floats, value: float, *, level: float = LEVEL) -> Interval:
    """The interval of an area under a ROC curve: normal on the scale of its log odds, with the standard error that the
    draws have there (Pepe, The Statistical Evaluation of Medical Tests for Classification and Prediction, 2003, takes
    logit limits for shares near 1). Near 1 percentiles alone end too high: of 40 patients of each class 84 % of 95 %
    intervals hold an AUC of 0.99 (benchmarks/interval_coverage.py). Of an area of 0 or 1 the percentiles are left."""
    plain = percentile_interval(draws, level=level)
    if not 0 < value < 1 or math.isnan(plain.low):
        return plain
    reach = NormalDist().inv_cdf(0.5 + level / 2)
    low, high = _carried(value, draws, np.array([-reach, reach]))
    return Interval(float(low), float(high), plain.undefined_draws)


def area_difference_interval(
    first: Floats, second: Floats, values: tuple[float, float], *, level: float = LEVEL
) -> Interval:
    """The interval of the first area less the second from their paired draws: both normal on the scale of log odds,
    with the draws' standard errors and correlation, and the percentiles of what that gives for the areas themselves.
    Two areas whose draws go together differ by nothing."""
    both = ~np.isnan(first) & ~np.isnan(second)
    undefined = int((~both).sum())
    if not both.any():
        return Interval(math.nan, math.nan, undefined)
    own, other = first[both], second[both]
    if np.array_equal(own, other):  # no resample tells them apart
        return Interval(values[0] - values[1], values[0] - values[1], undefined)
    vary = own.std() > 0 and other.std() > 0
    together = float(np.clip(np.corrcoef(own, other)[0, 1], -1, 1)) if vary else 0.0
    common, apart = np.random.default_rng(SEED).standard_normal((2, NORMAL_DRAWS // 2))
    shared = np.tile(math.sqrt((1 + together) / 2) * common, 2)
    # Each with either sign: with the models exchanged the interval is the same one on the other side of 0.
    parted = math.sqrt((1 - together) / 2) * np.concatenate([apart, -apart])
    carried = _carried(values[0], own, shared + parted) - _carried(values[1], other, shared - parted)
    interval = percentile_interval(carried, level=level)
    return Interval(interval.low, interval.high, undefined)


def _carried(value: float, draws: Floats, deviates: Floats) -> Floats:
    """The areas that lie so many standard errors from `value` on the scale of its log odds, by the slope that this
    scale has there. An area of 0 or 1 stays."""
    if not 0 < value < 1:
        return np.full(len(deviates), value)
    slope = float(np.nanstd(draws)) / (value * (1 - value))
    odds = math.log(value / (1 - value)) + slope * deviates
    # exp(700) is still a number: beyond it the area is 0 or 1 anyway.
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
