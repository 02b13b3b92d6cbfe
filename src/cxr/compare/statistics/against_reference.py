"""Every model against one reference: paired differences of all measures, paired tests, and the margin's verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from cxr.compare.bootstrap import patient_numbers, percentile_interval
from cxr.compare.estimates import Estimate
from cxr.compare.metrics import DECIDED, Floats
from cxr.compare.statistics.delong import AreaDifference, area_components, area_difference
from cxr.compare.statistics.mcnemar import McNemar, mcnemar
from cxr.compare.statistics.measures import WHOLE, Measured, Name, Scored
from cxr.compare.statistics.multiplicity import holm
from cxr.compare.statistics.noninferiority import LOWER_IS_BETTER, Verdict, unfounded, verdict
from cxr.compare.titles import STAND_IN

DEFAULT_MARGIN = 0.02
DEFAULT_MARGIN_MEASURE = "auc"

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Difference:
    """Model less reference on one measure, with its 95 % interval over the paired draws, and the two-sided p-value of
    no difference: by the draws, and by Holm over the models (NaN where it is not defined)."""

    value: float
    low: float
    high: float
    p_value: float
    p_holm: float = math.nan
    undefined_draws: int = 0

    @property
    def estimate(self) -> Estimate:
        """Value and interval."""
        return Estimate(self.value, self.low, self.high, self.undefined_draws)


@dataclass(frozen=True, slots=True)
class PairedTest:
    """One test's p-value against the reference, and Holm's over the models."""

    p_value: float
    p_holm: float = math.nan


Tested = TypeVar("Tested", Difference, PairedTest)


@dataclass(frozen=True)
class AgainstReference:
    """One model against the reference. `differences` by (measure, of); `delong` takes images as independent,
    `delong_patients` adds up each patient's; `mcnemar` is of the calls on all images (`accuracy`), on the positive
    class (`sensitivity`) and on the others (`specificity`). `tests` has the p-values of these by name."""

    name: str
    differences: Mapping[Name, Difference]
    delong: AreaDifference
    delong_patients: AreaDifference
    mcnemar: Mapping[str, McNemar]
    tests: Mapping[str, PairedTest]
    verdict: Verdict
    #: Why the interval supports no verdict at all; "" where it does.
    unfounded: str = ""


@dataclass(frozen=True)
class ReferenceComparison:
    """The models against the reference called `name`, which is it because of `reason`. The verdicts are on `measure`
    with `margin`; `models` are all others in the comparison's order. `stand_in`: the reference is not the service's own
    model but what the emulator trained in its place."""

    name: str
    reason: str
    measure: str
    margin: float
    models: tuple[AgainstReference, ...]
    stand_in: bool = False

    @property
    def called(self) -> str:
        """The reference's name for sentences and heads of columns: a stand-in is called one."""
        return f"{self.name} {STAND_IN}" if self.stand_in else self.name

    @property
    def less_is_better(self) -> bool:
        """Whether the verdicts' measure counts errors: differences are model less reference all the same, and the
        margin lies on the other side of 0."""
        return self.measure in LOWER_IS_BETTER

    @property
    def margin_end(self) -> float:
        """The difference at which a model is worse by the margin."""
        return self.margin if self.less_is_better else -self.margin


def against_reference(
    names: Sequence[str],
    cases: Sequence[Scored],
    measured: Sequence[Measured],
    *,
    reference: int,
    reason: str,
    measure: str = DEFAULT_MARGIN_MEASURE,
    margin: float = DEFAULT_MARGIN,
    stand_in: bool = False,
) -> ReferenceComparison:
    """Compare each of the models with number `reference`. All are judged on the same images in the same order, and
    their draws are of the same resamples of patients."""
    positive = cases[reference].is_positive
    scores = np.stack([each.score for each in cases])
    by_patient = area_components(positive, scores, patient_numbers(cases[reference].patients)[0])
    alone = by_patient.alone()
    counts = _patients_of_classes(cases[reference])
    models = []
    for number, name in enumerate(names):
        if number == reference:
            continue
        differences = _differences(measured[number], measured[reference])
        delong, delong_patients = (area_difference(each, number, reference) for each in (alone, by_patient))
        errors = _errors(cases[number], cases[reference])
        tests = {
            "delong": PairedTest(delong.p_value),
            "delong_patients": PairedTest(delong_patients.p_value),
            **{f"mcnemar_{of}": PairedTest(result.p_value) for of, result in errors.items()},
        }
        judged = differences[measure, WHOLE].estimate
        unfit = unfounded(judged, counts, alike=_alike(measure, cases[number], cases[reference]))
        said = Verdict.NOT_SHOWN if unfit else verdict(judged, margin, measure=measure)
        models.append(AgainstReference(name, differences, delong, delong_patients, errors, tests, said, unfit))
    return ReferenceComparison(names[reference], reason, measure, margin, tuple(_adjusted(models)), stand_in)


def _patients_of_classes(cases: Scored) -> dict[str, int]:
    """Class -> patients who have an image of it."""
    patient = patient_numbers(cases.patients)[0]
    return {name: len(np.unique(patient[cases.truth == number])) for number, name in enumerate(cases.classes)}


def _alike(measure: str, model: Scored, reference: Scored) -> bool:
    """Whether the measure cannot tell the two apart on any image: the same calls, the same order of the scores, or for
    what looks at the probabilities the same ones."""
    if measure in DECIDED or measure == "macro_f1":
        return bool(np.array_equal(model.called, reference.called))
    if measure in {"auc", "average_precision"}:
        own, other = (np.unique(each.score, return_inverse=True)[1] for each in (model, reference))
        return bool(np.array_equal(own, other))
    return bool(np.array_equal(model.probabilities, reference.probabilities))


def bootstrap_p_value(draws: Floats) -> float:
    """Two-sided p-value of a difference of zero by its draws: twice the smaller share of draws on either side of zero,
    draws at zero counting for both, one draw added so that it is never 0 (Davison and Hinkley 1997, sections 4.2.3 and
    4.4.1). At most 1; NaN where no draw is defined."""
    defined = draws[~np.isnan(draws)]
    if not len(defined):
        return math.nan
    smaller = min(int((defined <= 0).sum()), int((defined >= 0).sum()))
    return min(1.0, 2 * (smaller + 1) / (len(defined) + 1))


def _differences(model: Measured, reference: Measured) -> dict[Name, Difference]:
    made = {}
    for name, value in model.values.items():
        draws = model.draws[name] - reference.draws[name]
        interval = percentile_interval(draws)
        made[name] = Difference(
            value - reference.values[name],
            interval.low,
            interval.high,
            bootstrap_p_value(draws),
            undefined_draws=interval.undefined_draws,
        )
    return made


def _errors(model: Scored, reference: Scored) -> dict[str, McNemar]:
    """McNemar's tests. Of the positive class and of the others, a call is right that tells the two apart: with more
    than two classes, the wrong one of the others is right enough for `specificity`."""
    positive = model.is_positive
    called, reference_called = model.called == model.positive, reference.called == reference.positive
    return {
        "accuracy": mcnemar(model.called == model.truth, reference.called == reference.truth),
        "sensitivity": mcnemar(called[positive], reference_called[positive]),
        "specificity": mcnemar(~called[~positive], ~reference_called[~positive]),
    }


def _adjusted(models: Sequence[AgainstReference]) -> list[AgainstReference]:
    """With Holm's p-values: each test and each measure is one family over the models."""
    differences = _over_models([model.differences for model in models], lambda each, p: replace(each, p_holm=p))
    tests = _over_models([model.tests for model in models], lambda each, p: replace(each, p_holm=p))
    return [
        replace(model, differences=own, tests=tested)
        for model, own, tested in zip(models, differences, tests, strict=True)
    ]


def _over_models(
    models: Sequence[Mapping[Key, Tested]], adjusted: Callable[[Tested, float], Tested]
) -> list[dict[Key, Tested]]:
    made: list[dict[Key, Tested]] = [{} for _ in models]
    for key in models[0] if models else ():
        for own, model, p_value in zip(made, models, holm([model[key].p_value for model in models]), strict=True):
            own[key] = adjusted(model[key], p_value)
    return made
