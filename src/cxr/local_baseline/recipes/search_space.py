"""A search space as data: which hyperparameters a tuning job varies, and in which range. Read from and written to TOML.

recipe = "mobilenet-v2"

[[parameter]]
id = "learning-rate"
kind = "double"
low = 0.0001
high = 0.01
scale = "log"
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from cxr.documents import parse_toml
from cxr.errors import InputError, UsageError
from cxr.local_baseline.models.backbone_facts import FACTS
from cxr.local_baseline.recipes import NO_WEIGHTS, Activation, OptimizerKind, Recipe, Trains, find_recipe
from cxr.local_baseline.recipes.overrides import (
    HYPERPARAMETERS,
    WITH_MOMENTUM,
    Kind,
    Overrides,
    fixed_in,
    is_augmented,
    knob_of,
    parse_overrides,
    takes_activation,
)

Choice = TypeVar("Choice", bound=StrEnum)

#: Values of a discrete or categorical parameter.
MOST_VALUES = 100


class ParameterKind(StrEnum):
    """The kinds of parameter that tuning services know: a range of reals, of integers, a list of numbers in order, and
    a list of words."""

    DOUBLE = "double"
    INTEGER = "integer"
    DISCRETE = "discrete"
    CATEGORICAL = "categorical"


class Scale(StrEnum):
    """How a range is searched."""

    LINEAR = "linear"
    LOG = "log"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One hyperparameter. `id` is the trainer's flag without its dashes; `low` and `high` (included) are of a double or
    an integer, `values` of a discrete (numbers, rising) or a categorical (words) parameter."""

    id: str
    kind: ParameterKind
    low: float = 0.0
    high: float = 0.0
    values: tuple[float | str, ...] = ()
    scale: Scale = Scale.LINEAR


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """What is varied of one recipe."""

    recipe: str
    parameters: tuple[Parameter, ...]


_LEARNING_RATE = Parameter("learning-rate", ParameterKind.DOUBLE, 1e-4, 1e-2, scale=Scale.LOG)
_FINE_TUNING_RATE = Parameter("learning-rate", ParameterKind.DOUBLE, 1e-5, 1e-3, scale=Scale.LOG)
_DROPOUT = Parameter("dropout", ParameterKind.DOUBLE, 0.0, 0.5)
_BATCH_SIZE = Parameter("batch-size", ParameterKind.DISCRETE, values=(16, 32, 64))
_AUGMENTATION = Parameter("augmentation-strength", ParameterKind.DOUBLE, 0.0, 2.0)
_OPTIMIZER = Parameter("optimizer", ParameterKind.CATEGORICAL, values=tuple(OptimizerKind))
_ACTIVATION = Parameter("activation", ParameterKind.CATEGORICAL, values=tuple(Activation))
_L1 = Parameter("l1", ParameterKind.DOUBLE, 1e-7, 1e-3, scale=Scale.LOG)
_L2 = Parameter("l2", ParameterKind.DOUBLE, 1e-6, 1e-2, scale=Scale.LOG)


def parameters_of(recipe: Recipe, weights: str = NO_WEIGHTS) -> tuple[Parameter, ...]:
    """The hyperparameters that a training of `recipe` with `weights` obeys, with ranges that are worth a search."""
    pretrained = weights != NO_WEIGHTS and bool(recipe.pretrained)
    stages = recipe.pretrained if pretrained else recipe.scratch
    last = stages[-1]
    optimizer = replace(_OPTIMIZER, values=WITH_MOMENTUM) if last.optimizer.momentum else _OPTIMIZER
    chosen = [_FINE_TUNING_RATE if last.trains is Trains.FINE_TUNE else _LEARNING_RATE, optimizer, _DROPOUT]
    chosen.append(_BATCH_SIZE)
    if takes_activation(recipe):
        chosen.append(_ACTIVATION)
    chosen += [_L1, _L2]
    if any(map(is_augmented, stages)):
        chosen.append(_AUGMENTATION)
    if last.trains is Trains.FINE_TUNE and recipe.backbone is not None:
        chosen.append(Parameter("unfreeze-layers", ParameterKind.INTEGER, 0, FACTS[recipe.backbone].convolutions))
    return tuple(chosen)


def default_space(
    base: str, recipe: Recipe, weights: str = NO_WEIGHTS, overrides: Overrides | None = None
) -> SearchSpace:
    """The space to search when none is given: all that the ancestors tuned, where the recipe has it, less what
    `overrides` set for all trials (they are in `recipe` already, which is `base` changed)."""
    fixed = fixed_in(overrides or {}, recipe, weights)
    free = tuple(one for one in parameters_of(recipe, weights) if HYPERPARAMETERS[one.id] not in fixed)
    return SearchSpace(base, free)


def check_free(space: SearchSpace, recipe: Recipe, weights: str, overrides: Overrides) -> None:
    """Raises UsageError for a parameter that `overrides` set for all trials."""
    fixed = fixed_in(overrides, recipe, weights)
    for parameter in space.parameters:
        key = HYPERPARAMETERS[parameter.id]
        if key in fixed:
            raise UsageError(f"{key} is set for all trials, and searched too", hint=f"leave out --set {key}=…")


def check_space(space: SearchSpace) -> None:
    """Raises UsageError for a parameter that the trainer does not know, or whose range it would refuse."""
    find_recipe(space.recipe)
    if not space.parameters:
        raise UsageError("the search space has no parameter")
    ids = [parameter.id for parameter in space.parameters]
    for parameter in space.parameters:
        if parameter.id not in HYPERPARAMETERS:
            raise UsageError(f"there is no hyperparameter {parameter.id!r}; there are: {', '.join(HYPERPARAMETERS)}")
        if ids.count(parameter.id) > 1:
            raise UsageError(f"{parameter.id} stands twice in the search space")
        _check_parameter(parameter)


def read_space(path: Path) -> SearchSpace:
    """Read and check a search space. Raises InputError naming the file and what is wrong in it."""
    try:
        raw = parse_toml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"cannot read the search space {path}: {error}") from error
    try:
        unknown = sorted(set(raw) - {"recipe", "parameter"})
        if unknown:
            raise UsageError(f"{unknown[0]!r} is not known; recipe and [[parameter]] are")
        space = SearchSpace(_text(raw, "recipe"), tuple(_parameter(entry) for entry in raw.get("parameter", ())))
        check_space(space)
    except UsageError as error:
        raise InputError(f"{path}: {error.message}", hint=error.hint) from error
    return space


def to_toml(space: SearchSpace) -> str:
    """The text of the file."""
    lines = [f'recipe = "{space.recipe}"']
    for parameter in space.parameters:
        lines += ["", "[[parameter]]", f'id = "{parameter.id}"', f'kind = "{parameter.kind}"']
        if parameter.kind in {ParameterKind.DOUBLE, ParameterKind.INTEGER}:
            whole = parameter.kind is ParameterKind.INTEGER
            low, high = (int(edge) if whole else edge for edge in (parameter.low, parameter.high))
            lines += [f"low = {low!r}", f"high = {high!r}"]
        else:
            words = (f'"{value}"' if isinstance(value, str) else repr(value) for value in parameter.values)
            lines.append(f"values = [{', '.join(words)}]")
        if parameter.scale is not Scale.LINEAR:
            lines.append(f'scale = "{parameter.scale}"')
    return "\n".join(lines) + "\n"


def _parameter(raw: Any) -> Parameter:
    if not isinstance(raw, Mapping):
        raise UsageError("a parameter is a table: [[parameter]]")
    name = _text(raw, "id")
    unknown = sorted(set(raw) - {"id", "kind", "low", "high", "values", "scale"})
    if unknown:
        raise UsageError(f"{name}: {unknown[0]!r} is not known; id, kind, low, high, values and scale are")
    values = raw.get("values", [])
    if not isinstance(values, list) or any(not isinstance(v, str) and not _is_number(v) for v in values):
        raise UsageError(f"{name}: values is a list of numbers or of words")
    return Parameter(
        id=name,
        kind=_choice(ParameterKind, raw.get("kind"), f"{name}: kind"),
        low=_number(raw.get("low", 0.0), f"{name}: low"),
        high=_number(raw.get("high", 0.0), f"{name}: high"),
        values=tuple(values),
        scale=_choice(Scale, raw.get("scale", Scale.LINEAR), f"{name}: scale"),
    )


def _check_parameter(parameter: Parameter) -> None:
    knob = knob_of(HYPERPARAMETERS[parameter.id])
    ranged = parameter.kind in {ParameterKind.DOUBLE, ParameterKind.INTEGER}
    if ranged and (parameter.values or not parameter.low < parameter.high):
        raise UsageError(f"{parameter.id}: a {parameter.kind} parameter has a low and a higher high, and no values")
    if not ranged and not 2 <= len(parameter.values) <= MOST_VALUES:
        raise UsageError(f"{parameter.id}: a {parameter.kind} parameter has 2 to {MOST_VALUES} values")
    if knob.kind is Kind.INTEGER and parameter.kind is ParameterKind.DOUBLE:
        raise UsageError(f"{parameter.id} takes {knob.words}: it is an integer or a discrete parameter")
    if parameter.kind is ParameterKind.INTEGER and not (parameter.low % 1 == 0 == parameter.high % 1):
        raise UsageError(f"{parameter.id}: the edges of an integer parameter are whole numbers")
    if parameter.scale is Scale.LOG and (not ranged or parameter.low <= 0):
        raise UsageError(f"{parameter.id}: a logarithmic scale needs a range above 0")
    if parameter.kind is ParameterKind.DISCRETE:
        numbers = [value for value in parameter.values if not isinstance(value, str)]
        if len(numbers) != len(parameter.values) or sorted(set(numbers)) != numbers:
            raise UsageError(f"{parameter.id}: the values of a discrete parameter are rising numbers")
    if parameter.kind is ParameterKind.CATEGORICAL and any(not isinstance(value, str) for value in parameter.values):
        raise UsageError(f"{parameter.id}: the values of a categorical parameter are words")
    for value in parameter.values or (parameter.low, parameter.high):
        parse_overrides([f"{HYPERPARAMETERS[parameter.id]}={value}"])


def _text(raw: Mapping[str, Any], name: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or not value:
        raise UsageError(f"{name!r} is missing")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Any, what: str) -> float:
    if not _is_number(value):
        raise UsageError(f"{what} is a number, not {value!r}")
    return float(value)


def _choice(kind: type[Choice], value: Any, what: str) -> Choice:
    try:
        return kind(value)
    except ValueError:
        raise UsageError(f"{what} is one of {', '.join(kind)}, not {value!r}") from None
