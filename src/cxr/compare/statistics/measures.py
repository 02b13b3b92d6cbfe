"""All measures of one model on one split as a function of the patients' weights: what the evaluation of one bundle and
the comparison of several show is computed here, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr.compare.metrics.confusion import (
    Bools,
    Floats,
    Ints,
    f1_score,
    precision,
    predicted_classes,
    predictive_values,
    ratio,
    sensitivity,
    threshold_metrics,
)
from cxr.compare.metrics.probabilities import BINS, bin_numbers, log_losses, squared_errors, stated
from cxr.compare.metrics.ranking import Ranking
from cxr.compare.statistics.bootstrap import (
    LEVEL,
    OnDraws,
    area_interval,
    patient_numbers,
    percentile_interval,
    reflected,
    resample,
)
from cxr.compare.statistics.estimates import Draws, Estimate
from cxr.manifests.manifest import Manifest

#: (measure, what of: WHOLE, a class, label/etiology, or another operating point).
Name = tuple[str, str]
#: All images, at the bundle's own threshold.
WHOLE = ""
#: At a threshold of one half.
HALF = "@half"
#: At the threshold of the split itself that reaches the asked sensitivity: for show, never for a claim.
ORACLE = "@oracle"
HALF_THRESHOLD = 0.5
#: Of draws alone: what a measure of errors would be by chance if there were none.
CHANCE = "@chance"
#: Measures that chance makes larger, in a resample by as much again: their intervals are basic ones.
INFLATED = frozenset({"calibration_error"})
#: Areas under ROC curves: their intervals are made on the scale of log odds.
AREAS = frozenset({"auc", "macro_auc"})


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
    def score(self) -> Floats:
        """The positive class's probability [N]."""
        return self.probabilities[:, self.positive]

    @property
    def is_binary(self) -> bool:
        """Whether a threshold decides."""
        return len(self.classes) == 2

    def cells(self, called: Ints | None = None) -> Ints:
        """Each image's cell of the flattened confusion matrix, for its own calls or others."""
        return self.truth * len(self.classes) + (self.called if called is None else called)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is measured beside what every judgement has: predictive values where the share `prevalence` is positive,
    and the test's own point of a `sensitivity` (both 0..1). `every_class`: AUC and average precision of each class and
    not only of the positive one; more than two classes always have them."""

    prevalence: float | None = None
    sensitivity: float | None = None
    every_class: bool = True


@dataclass(frozen=True)
class Measured:
    """Every measure's value and its bootstrap draws [draws]; `oracle_threshold` is None unless one was asked for."""

    values: Mapping[Name, float]
    draws: Mapping[Name, Floats]
    oracle_threshold: float | None = None

    def estimate(self, measure: str, of: str = WHOLE, *, level: float = LEVEL) -> Estimate:
        """Value and interval."""
        value, draws = self.values[measure, of], self.draws[measure, of]
        if measure not in INFLATED:
            of_area = measure in AREAS
            interval = area_interval(draws, value, level=level) if of_area else percentile_interval(draws, level=level)
            return Estimate(value, interval.low, interval.high, interval.undefined_draws)
        interval = percentile_interval(reflected(draws, value), level=level)
        # What was measured belongs to its interval, and no error does where chance alone makes as much.
        by_chance = percentile_interval(self.draws[measure, CHANCE], level=level).high
        low = 0.0 if value <= by_chance else max(0.0, min(interval.low, value))
        return Estimate(value, low, max(interval.high, value), interval.undefined_draws)

    def names(self, of: str) -> list[str]:
        """The measures that there are of `of`, in order."""
        return [measure for measure, whose in self.values if whose == of]


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
    return measured_together([cases], draws)[0]


def measured_together(
    models: Sequence[Scored], draws: Draws, asked: Asked | None = None, on_draws: OnDraws | None = None
) -> list[Measured]:
    """All measures of several models of the same images (rows in the same order), over the same resamples of the
    patients, so that differences between them are paired."""
    patient, patients = patient_numbers(models[0].patients)
    rulers = [_Ruler(cases, patient, patients, asked or Asked()) for cases in models]
    drawn = resample(rulers, patients, draws=draws.count, seed=draws.seed, on_draws=on_draws)
    return [Measured(ruler.values(), own, ruler.oracle_threshold()) for ruler, own in zip(rulers, drawn, strict=True)]


def values_of(cases: Scored) -> dict[Name, float]:
    """All measures of the images as they are."""
    return _Ruler(cases, *patient_numbers(cases.patients), Asked()).values()


class _Ruler:
    """Weights of the patients [D, P] -> every measure [D].

    Whatever is a sum over images is added up by patient beforehand, so that a draw costs one product of matrices; what
    the order of the scores decides costs cumulative sums.
    """

    def __init__(self, cases: Scored, patient: NDArray[np.intp], patients: int, asked: Asked) -> None:
        self._cases, self._asked, self._patients = cases, asked, patients
        self._sums = _Sums(patient, patients)
        count = len(cases.classes)
        self._sums.add("cells", cases.cells(), count * count)
        if cases.is_binary:
            half = predicted_classes(cases.probabilities, cases.positive, HALF_THRESHOLD)
            self._sums.add("half", cases.cells(half), count * count)
        self._sums.add("brier", weights=squared_errors(cases.probabilities, cases.truth))
        self._sums.add("log_loss", weights=log_losses(cases.probabilities, cases.truth))
        probability, came_true = stated(cases.probabilities, cases.truth, cases.positive)
        self._sums.add("bins", bin_numbers(probability), BINS, weights=probability - came_true)
        self._kinds = sorted(set(cases.kinds))
        numbers = {kind: number for number, kind in enumerate(self._kinds)}
        kind = np.array([numbers[name] for name in cases.kinds], dtype=np.int64)
        self._sums.add("kinds", kind, len(numbers))
        self._sums.add("kinds_right", kind, len(numbers), weights=cases.called == cases.truth)
        self._sums.close()
        self._gaps = ratio(self._sums(np.ones((1, patients)))["bins"], len(cases.truth))
        ranked = range(count) if asked.every_class or not cases.is_binary else [cases.positive]
        self._rankings = {
            number: Ranking(cases.truth == number, cases.probabilities[:, number], patient) for number in ranked
        }

    def values(self) -> dict[Name, float]:
        """Every measure with each patient counted once."""
        made = self(np.ones((1, self._patients)))
        return {name: float(value[0]) for name, value in made.items() if name[1] != CHANCE}

    def oracle_threshold(self) -> float | None:
        """The largest threshold that reaches the asked sensitivity on these very images."""
        if self._asked.sensitivity is None or not self._cases.is_binary:
            return None
        ranking = self._rankings[self._cases.positive]
        thresholds = ranking(np.ones((1, self._patients)), sensitivity=self._asked.sensitivity).thresholds
        return None if thresholds is None else float(thresholds[0])

    def __call__(self, weights: Floats) -> dict[Name, Floats]:
        cases, count = self._cases, len(self._cases.classes)
        sums = self._sums(weights)
        matrices = sums["cells"].reshape(-1, count, count)
        total = sums["cells"].sum(axis=1)
        made = self._at(WHOLE, matrices)
        for number, name in enumerate(cases.classes):
            made["precision", name] = precision(matrices, number)
            made["recall", name] = sensitivity(matrices, number)
            made["f1", name] = f1_score(matrices, number)
        made |= self._ranked(weights)
        for measure in ("auc", "average_precision", "f1"):
            every = [made[measure, name] for name in cases.classes if (measure, name) in made]
            if len(every) == count:
                made[f"macro_{measure}", WHOLE] = np.mean(every, axis=0)
        made["brier", WHOLE] = ratio(sums["brier"][:, 0], total)
        made["log_loss", WHOLE] = ratio(sums["log_loss"][:, 0], total)
        # |mean probability - share that came true| of a bin, by its share of the cases: Guo et al. 2017, equation 3.
        gaps = ratio(sums["bins"], total[:, None])
        made["calibration_error", WHOLE] = np.abs(gaps).sum(axis=1)
        made["calibration_error", CHANCE] = np.abs(gaps - self._gaps).sum(axis=1)
        for column, kind in enumerate(self._kinds):
            made["recall", kind] = ratio(sums["kinds_right"][:, column], sums["kinds"][:, column])
        if cases.is_binary:
            made |= self._at(HALF, sums["half"].reshape(-1, count, count))
        return made

    def _ranked(self, weights: Floats) -> dict[Name, Floats]:
        cases, made = self._cases, dict[Name, Floats]()
        least = self._asked.sensitivity if cases.is_binary else None
        # How often a patient was drawn is a small whole number.
        counts = weights.astype(np.uint16)
        for number, ranking in self._rankings.items():
            result = ranking(counts, sensitivity=least if number == cases.positive else None)
            name = cases.classes[number]
            made["auc", name], made["average_precision", name] = result.auc, result.average_precision
            if number == cases.positive:
                made["auc", WHOLE], made["average_precision", WHOLE] = result.auc, result.average_precision
                if result.matrices is not None:
                    negative_first = result.matrices
                    matrices = negative_first if number == 1 else negative_first[:, ::-1, ::-1]
                    made |= self._at(ORACLE, matrices)
        return made

    def _at(self, point: str, matrices: Floats) -> dict[Name, Floats]:
        """What the confusion matrices [D, K, K] of one operating point decide."""
        made = {(name, point): values for name, values in threshold_metrics(matrices, self._cases.positive).items()}
        if self._asked.prevalence is not None:
            made["ppv_at_prevalence", point], made["npv_at_prevalence", point] = predictive_values(
                made["sensitivity", point], made["specificity", point], self._asked.prevalence
            )
        return made


class _Sums:
    """Sums over images, by patient and by group: what a set of patients' weights makes of them is one product."""

    def __init__(self, patient: NDArray[np.intp], patients: int) -> None:
        self._patient, self._patients = patient, patients
        self._parts: list[Floats] = []
        self._columns: dict[str, slice] = {}
        self._matrix = np.zeros((patients, 0))

    def add(self, name: str, group: Ints | None = None, groups: int = 1, weights: Floats | Bools | None = None) -> None:
        """One column for each group 0..groups-1 (None: all in one): the sum of `weights` [N], or the number of
        images."""
        place = self._patient * groups + (0 if group is None else group)
        sums = np.bincount(place, weights, minlength=self._patients * groups)
        start = sum(part.shape[1] for part in self._parts)
        self._columns[name] = slice(start, start + groups)
        self._parts.append(sums.reshape(self._patients, groups).astype(np.float64))

    def close(self) -> None:
        """Lay the columns side by side: nothing can be added any more."""
        self._matrix = np.concatenate(self._parts, axis=1)
        self._parts = []

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        """Weights of the patients [D, P] -> the sums of each name, [D, groups]."""
        sums = weights @ self._matrix
        return {name: sums[:, columns] for name, columns in self._columns.items()}
