"""StudySpec: metrics and parameters as the service accepts them.

Sources: google.cloud.aiplatform.v1 StudySpec (field comments); https://cloud.google.com/ai-platform/optimizer/docs/quotas
(1,000 trials in a study). What a tuning job does not support there (default values, observation noise) is 400, what the
emulator does not do (early stopping, several objectives) is 501.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from cxr.cloud.emulator.errors import RpcError, invalid_argument, unimplemented
from cxr.cloud.emulator.vertex_api.call import require

MAX_TRIALS = 1000
MAX_DISCRETE_VALUES = 1000
MIN_DISCRETE_STEP = 1e-10
KINDS = ("doubleValueSpec", "integerValueSpec", "categoricalValueSpec", "discreteValueSpec")
_CONDITIONS = {
    "integerValueSpec": "parentIntValues",
    "categoricalValueSpec": "parentCategoricalValues",
    "discreteValueSpec": "parentDiscreteValues",
}
_LOGARITHMIC = ("UNIT_LOG_SCALE", "UNIT_REVERSE_LOG_SCALE")
_NOT_HERE = (
    "decayCurveStoppingSpec",
    "medianAutomatedStoppingSpec",
    "convexAutomatedStoppingSpec",
    "studyStoppingConfig",
)
Value = float | int | str


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: `kind` is one of KINDS; `values` are its feasible ones, or the least and the most of a range.

    `children`: parameters that count only for some of its values.
    """

    id: str
    kind: str
    values: tuple[Value, ...]
    scale: str
    children: tuple[tuple[frozenset[Value], Parameter], ...] = ()


@dataclass(frozen=True, slots=True)
class Study:
    """A checked study with one metric."""

    metric: str
    maximize: bool
    algorithm: str
    take_best: bool
    parameters: tuple[Parameter, ...]


def study_of(spec: Mapping[str, Any]) -> Study:
    """The study of a StudySpec. Raises 400 for what the service refuses, 501 for what the emulator does not do."""
    for key in _NOT_HERE:
        if key in spec:
            raise unimplemented(f"hyperparameter tuning with {key}")
    if spec.get("observationNoise"):
        raise invalid_argument("observation_noise is not supported here.", field="study_spec.observation_noise")
    metrics = require(spec, "metrics", "study_spec.metrics")
    _check_ids([str(metric.get("metricId", "")) for metric in metrics], "metric")
    if len(metrics) > 1:
        raise unimplemented("hyperparameter tuning of several metrics")
    if "safetyConfig" in metrics[0]:
        raise unimplemented("hyperparameter tuning with safetyConfig")
    raw = require(spec, "parameters", "study_spec.parameters")
    parameters = tuple(_parameter(item) for item in raw)
    for ids in _paths(parameters):
        _check_ids(ids, "parameter")
    algorithm = spec.get("algorithm", "ALGORITHM_UNSPECIFIED")
    if algorithm == "GRID_SEARCH" and any(item.kind == KINDS[0] for item in every(parameters)):
        raise invalid_argument(
            "For GRID_SEARCH all parameters must be INTEGER, CATEGORICAL or DISCRETE.", field="study_spec.algorithm"
        )
    return Study(
        metric=metrics[0]["metricId"],
        maximize=metrics[0].get("goal") != "MINIMIZE",
        algorithm=algorithm,
        take_best=spec.get("measurementSelectionType") == "BEST_MEASUREMENT",
        parameters=parameters,
    )


def check_counts(job: Mapping[str, Any]) -> None:
    """Raise 400 unless the numbers of trials fit together."""
    most = int(require(job, "maxTrialCount", "max_trial_count"))
    parallel = int(require(job, "parallelTrialCount", "parallel_trial_count"))
    failed = int(job.get("maxFailedTrialCount", 0))
    if not 1 <= most <= MAX_TRIALS:
        raise _bad(f"max_trial_count must be from 1 to {MAX_TRIALS}, not {most}.", "max_trial_count")
    if not 1 <= parallel <= most:
        raise _bad(f"parallel_trial_count must be from 1 to max_trial_count, not {parallel}.", "parallel_trial_count")
    if not 0 <= failed <= most:
        raise _bad(f"max_failed_trial_count must be from 0 to max_trial_count, not {failed}.", "max_failed_trial_count")


def every(parameters: Sequence[Parameter]) -> Iterator[Parameter]:
    """The parameters and all below them."""
    for parameter in parameters:
        yield parameter
        yield from every([child for _, child in parameter.children])


def _parameter(raw: Mapping[str, Any]) -> Parameter:
    name = str(raw.get("parameterId", ""))
    field = f"study_spec.parameters[{name}]"
    kinds = [kind for kind in KINDS if kind in raw]
    if not kinds:
        raise _bad(f"The parameter {name!r} has no value spec.", field)
    kind, scale = kinds[0], raw.get("scaleType", "SCALE_TYPE_UNSPECIFIED")
    spec = raw[kind]
    if "defaultValue" in spec:
        raise _bad(f"The parameter {name!r} has a default_value, which is not supported here.", field)
    if kind == "categoricalValueSpec":
        values = _categories(name, spec, scale, field)
    else:
        values = _numbers(name, kind, spec, field)
        if scale in _LOGARITHMIC and min(values) <= 0:
            raise _bad(f"The values of {name!r} must be strictly positive for {scale}.", field)
    children = tuple(_child(kind, values, name, item) for item in raw.get("conditionalParameterSpecs", []))
    return Parameter(name, kind, values, scale, children)


def _categories(name: str, spec: Mapping[str, Any], scale: str, field: str) -> tuple[Value, ...]:
    values = tuple(str(value) for value in spec.get("values", []))
    if not values or not all(values) or len(set(values)) < len(values):
        raise _bad(f"The parameter {name!r} needs categories, none of them empty and each of them once.", field)
    if scale != "SCALE_TYPE_UNSPECIFIED":
        raise _bad(f"The categorical parameter {name!r} has no scale.", field)
    return values


def _numbers(name: str, kind: str, spec: Mapping[str, Any], field: str) -> tuple[float, ...] | tuple[int, ...]:
    if kind == "discreteValueSpec":
        values = tuple(float(value) for value in spec.get("values", []))
        if not values or len(values) > MAX_DISCRETE_VALUES:
            raise _bad(f"The parameter {name!r} needs from 1 to {MAX_DISCRETE_VALUES:,} values.", field)
        steps = [after - before for before, after in pairwise(values)]
        if not all(math.isfinite(value) for value in values) or any(step < MIN_DISCRETE_STEP for step in steps):
            raise _bad(f"The values of {name!r} must increase, by {MIN_DISCRETE_STEP:g} at least.", field)
        return values
    if kind == "integerValueSpec":
        whole = (int(spec.get("minValue", 0)), int(spec.get("maxValue", 0)))
        if whole[0] > whole[1]:
            raise _bad(f"The min_value of {name!r} is above its max_value.", field)
        return whole
    limits = (float(spec.get("minValue", 0.0)), float(spec.get("maxValue", 0.0)))
    if not all(math.isfinite(limit) for limit in limits) or limits[0] > limits[1]:
        raise _bad(f"The min_value of {name!r} is above its max_value, or not finite.", field)
    return limits


def _child(
    kind: str, values: Sequence[Value], parent: str, raw: Mapping[str, Any]
) -> tuple[frozenset[Value], Parameter]:
    field = f"study_spec.parameters[{parent}].conditional_parameter_specs"
    wanted = _CONDITIONS.get(kind)
    given = [key for key in _CONDITIONS.values() if key in raw]
    if wanted is None or given != [wanted]:
        raise _bad(f"The condition's values are not of the type of {parent!r}.", field)
    raw_values = raw[wanted].get("values", [])
    matched: list[Value] = []
    fits: list[Value]
    for value in raw_values:
        if kind == "integerValueSpec":
            fits = [int(value)] if int(values[0]) <= int(value) <= int(values[1]) else []
        elif kind == "discreteValueSpec":
            fits = [item for item in values if abs(float(item) - float(value)) <= MIN_DISCRETE_STEP]
        else:
            fits = [item for item in values if item == value]
        if not fits:
            raise _bad(f"The condition's value {value!r} is not a value of {parent!r}.", field)
        matched += fits
    if not matched:
        raise _bad("A condition needs values.", field)
    return frozenset(matched), _parameter(require(raw, "parameterSpec", f"{field}.parameter_spec"))


def _paths(parameters: Sequence[Parameter], above: Sequence[str] = ()) -> Iterator[list[str]]:
    """The ids that can be active together, as far as they must differ: siblings, and those above them.

    Two children of one name are allowed when their conditions exclude each other.
    """
    yield [*above, *(parameter.id for parameter in parameters)]
    for parameter in parameters:
        for values, child in parameter.children:
            together = [other for condition, other in parameter.children if other is not child and condition & values]
            yield from _paths([child, *together], [*above, *(item.id for item in parameters)])


def _check_ids(ids: Sequence[str], what: str) -> None:
    for name in ids:
        if not name or any(character.isspace() for character in name):
            raise _bad(f"The {what} id {name!r} is empty or has whitespace.", f"study_spec.{what}s.{what}_id")
    repeated = sorted({name for name in ids if list(ids).count(name) > 1})
    if repeated:
        raise _bad(f"The {what} id {repeated[0]!r} is there twice.", f"study_spec.{what}s.{what}_id")


def _bad(message: str, field: str) -> RpcError:
    return invalid_argument(message, field=field)
