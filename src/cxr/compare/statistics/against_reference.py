"""Every model against one reference: paired differences of all measures, paired tests, and the margin's verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from cxr.compare.bootstrap import patient_numbers, percentile_interval
from cxr.compare.estimates import Estimate
from cxr.compare.metrics import Floats
from cxr.compare.statistics.delong import AreaDifference, area_components, area_difference
from cxr.compare.statistics.mcnemar import McNemar, mcnemar
from cxr.compare.statistics.measures import WHOLE, Measured, Name, Scored
from cxr.compare.statistics.multiplicity import holm
from cxr.compare.statistics.noninferiority import Verdict, verdict

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

    @property
    def estimate(self) -> Estimate:
        """Value and interval."""
        return Estimate(self.value, self.low, self.high)


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


@dataclass(frozen=True)
class ReferenceComparison:
    """The models against the reference called `name`, which is it because of `reason`. The verdicts are on `measure`
    with `margin`; `models` are all others in the comparison's order."""

    name: str
    reason: str
    measure: str
    margin: float
    models: tuple[AgainstReference, ...]


def against_reference(
    names: Sequence[str],
    cases: Sequence[Scored],
    measured: Sequence[Measured],
    *,
    reference: int,
    reason: str,
    measure: str = DEFAULT_MARGIN_MEASURE,
    margin: float = DEFAULT_MARGIN,
) -> ReferenceComparison:
    """Compare each of the models with number `reference`. All are judged on the same images in the same order, and
    their draws are of the same resamples of patients."""
    positive = cases[reference].is_positive
    scores = np.stack([each.score for each in cases])
    by_patient = area_components(positive, scores, patient_numbers(cases[reference].patients)[0])
    alone = by_patient.alone()
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
        said = verdict(differences[measure, WHOLE].estimate, margin, measure=measure)
        models.append(AgainstReference(name, differences, delong, delong_patients, errors, tests, said))
    return ReferenceComparison(names[reference], reason, measure, margin, tuple(_adjusted(models)))


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
        made[name] = Difference(value - reference.values[name], interval.low, interval.high, bootstrap_p_value(draws))
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
