"""Every model against one reference: paired differences of all measures, paired tests, and the margin's verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cxr.compare.statistics.bootstrap import LEVEL, patient_numbers
from cxr.compare.statistics.delong import AreaDifference, area_components, area_difference
from cxr.compare.statistics.differences import Difference, difference_of, differences_of
from cxr.compare.statistics.estimates import Estimate
from cxr.compare.statistics.mcnemar import ClusteredMcNemar, McNemar
from cxr.compare.statistics.measures import WHOLE, Measured, Name, Scored
from cxr.compare.statistics.multiplicity import holm, joint_level
from cxr.compare.statistics.noninferiority import LOWER_IS_BETTER, Verdict, unfounded, verdict
from cxr.compare.statistics.paired_calls import paired_calls
from cxr.compare.statistics.shown_tests import TEST_OF, title_of
from cxr.compare.titles import STAND_IN

DEFAULT_MARGIN = 0.02
DEFAULT_MARGIN_MEASURE = "auc"

Key = TypeVar("Key")


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
    class (`sensitivity`) and on the others (`specificity`), `mcnemar_patients` the same over patients. `tests` has the
    p-values of these by name."""

    name: str
    differences: Mapping[Name, Difference]
    delong: AreaDifference
    delong_patients: AreaDifference
    mcnemar: Mapping[str, McNemar]
    mcnemar_patients: Mapping[str, ClusteredMcNemar]
    tests: Mapping[str, PairedTest]
    #: The interval at the level at which those of all models hold together: the verdict rests on it.
    joint: Estimate
    verdict: Verdict
    #: What the model's own 95 % interval would say, were it the only one that was asked about.
    verdict_alone: Verdict
    #: Why the interval supports no verdict at all; "" where it does.
    unfounded: str = ""


@dataclass(frozen=True)
class ReferenceComparison:
    """The models against the reference called `name`, which is it because of `reason`. The verdicts are on `measure`
    with `margin`; `models` are all others in the comparison's order. `stand_in`: the reference is not the service's own
    model but what the emulator trained in its place. `clustered`: some patient has several images."""

    name: str
    reason: str
    measure: str
    margin: float
    models: tuple[AgainstReference, ...]
    stand_in: bool = False
    clustered: bool = True

    @property
    def joint_level(self) -> float:
        """The level of the intervals that the verdicts rest on: with one model 95 %, with m of them 1 - 0.05 / m, so
        that the chance of any wrong verdict in a model's favour stays 2.5 %, and as much of any against one."""
        return joint_level(len(self.models), level=LEVEL)

    @property
    def p_value_by(self) -> str:
        """The test whose p-values stand beside the differences in the verdicts' measure."""
        return title_of(TEST_OF.get(self.measure), clustered=self.clustered)

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
    patient, patients = patient_numbers(cases[reference].patients)
    areas = area_components(cases[reference].is_positive, np.stack([each.score for each in cases]), patient)
    question = _Question(measure, margin, joint_level(len(names) - 1, level=LEVEL))
    models = [
        _judged(
            name,
            (cases[number], cases[reference]),
            (measured[number], measured[reference]),
            patient,
            question,
            delong=area_difference(areas.alone(), number, reference),
            delong_patients=area_difference(areas, number, reference),
        )
        for number, name in enumerate(names)
        if number != reference
    ]
    clustered = patients < len(patient)
    return ReferenceComparison(names[reference], reason, measure, margin, tuple(_adjusted(models)), stand_in, clustered)


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked of every model: the verdict on `measure` with `margin`, at the joint level."""

    measure: str
    margin: float
    level: float


def _judged(
    name: str,
    cases: tuple[Scored, Scored],
    measured: tuple[Measured, Measured],
    patient: NDArray[np.intp],
    asked: _Question,
    *,
    delong: AreaDifference,
    delong_patients: AreaDifference,
) -> AgainstReference:
    """One model and the reference, in this order in each pair."""
    calls = paired_calls(*cases, patient)
    shares = None if _same_answers(*cases) else {of: own for of, each in calls.items() if (own := each.shares())}
    differences = differences_of(*measured, shares)
    joint = difference_of((asked.measure, WHOLE), *measured, shares, level=asked.level).estimate
    counts, alike = _patients_of_classes(cases[1], patient), _alike(asked.measure, *cases)

    def said(estimate: Estimate) -> tuple[Verdict, str]:
        unfit = unfounded(estimate, counts, alike=alike)
        return Verdict.NOT_SHOWN if unfit else verdict(estimate, asked.margin, measure=asked.measure), unfit

    errors = {of: each.mcnemar() for of, each in calls.items()}
    by_patient = {of: each.mcnemar_over_patients() for of, each in calls.items()}
    p_values = {
        "delong": delong.p_value,
        "delong_patients": delong_patients.p_value,
        **{f"mcnemar_{of}": result.p_value for of, result in errors.items()},
        **{f"mcnemar_patients_{of}": result.p_value for of, result in by_patient.items()},
    }
    return AgainstReference(
        name,
        differences,
        delong,
        delong_patients,
        errors,
        by_patient,
        {test: PairedTest(p_value) for test, p_value in p_values.items()},
        joint,
        said(joint)[0],
        said(differences[asked.measure, WHOLE].estimate)[0],
        said(joint)[1],
    )


def _patients_of_classes(cases: Scored, patient: NDArray[np.intp]) -> dict[str, int]:
    """Class -> patients who have an image of it."""
    return {name: len(np.unique(patient[cases.truth == number])) for number, name in enumerate(cases.classes)}


def _alike(measure: str, model: Scored, reference: Scored) -> bool:
    """Whether the measure cannot tell the two apart on any image: the same order of the scores, or for what looks at
    probabilities or calls the same answers. (The same calls by other probabilities are no more than luck.)"""
    if measure in {"auc", "average_precision"}:
        own, other = (np.unique(each.score, return_inverse=True)[1] for each in (model, reference))
        return bool(np.array_equal(own, other))
    return _same_answers(model, reference)


def _same_answers(model: Scored, reference: Scored) -> bool:
    return np.array_equal(model.called, reference.called) and np.array_equal(
        model.probabilities, reference.probabilities
    )


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
