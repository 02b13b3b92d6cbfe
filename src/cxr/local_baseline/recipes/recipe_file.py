"""A recipe as a TOML file: one of the recipes by name, and what is different. The same keys as `--set`, with the same
checks.

base = "cnn5"
batch_size = 16

[optimizer]            # of the last stage
learning_rate = 0.0005

[stages.head.optimizer]
learning_rate = 0.01

[[teacher]]            # a net that is trained before, and teaches this one: any number of these tables
base = "cnn5"
seed = 1               # added to the training's
optimizer.learning_rate = 0.002
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cxr.documents import parse_toml
from cxr.errors import InputError, UsageError
from cxr.local_baseline.recipes import NO_WEIGHTS, Recipe, Stage, Teacher, find_recipe
from cxr.local_baseline.recipes.overrides import (
    RECIPE_KNOBS,
    STAGE_KNOBS,
    STAGE_WORDS,
    Overrides,
    Value,
    apply_overrides,
    check_value,
    stage_has,
)

SUFFIX = ".toml"
#: Keys of the file that are no knobs.
BASE, NAME, SUMMARY, WEIGHTS, SEED = "base", "name", "summary", "weights", "seed"
ABOUT = (BASE, NAME, SUMMARY, WEIGHTS)
ABOUT_TEACHER = (BASE, NAME, WEIGHTS)
#: The tables of the nets that teach.
TEACHER = "teacher"
#: What a name may not hold: it becomes that of a folder.
NO_NAME = re.compile(r"[/\\\x00-\x1f]|^[. ]|[. ]$")
#: The table whose tables are named after stages.
STAGES = "stages"


@dataclass(frozen=True)
class ChosenTeacher:
    """A teacher of a file: as in `ChosenRecipe` its overrides wait for the weights."""

    teacher: Teacher
    overrides: Overrides

    def with_weights(self, weights: str) -> Teacher:
        """The teacher of a training with `weights`. Raises UsageError for what does not fit."""
        try:
            recipe = apply_overrides(self.teacher.recipe, self.overrides, self.teacher.weights or weights)
        except UsageError as error:
            raise UsageError(f"{self.teacher.name}: {error.message}", hint=error.hint) from error
        return replace(self.teacher, recipe=recipe)


@dataclass(frozen=True)
class ChosenRecipe:
    """A recipe by name or from a file. `overrides` and `teachers` are the file's: they become part of it once it is
    known whether it trains with weights; `base` is the listed recipe that it begins with."""

    recipe: Recipe
    base: str
    overrides: Overrides = field(default_factory=dict)
    teachers: tuple[ChosenTeacher, ...] = ()

    def with_overrides(self, overrides: Overrides, weights: str) -> Recipe:
        """The recipe with the file's teachers and overrides, then other overrides. Raises UsageError for what does not
        fit."""
        teachers = tuple(teacher.with_weights(weights) for teacher in self.teachers)
        recipe = replace(self.recipe, teachers=teachers) if teachers else self.recipe
        return apply_overrides(recipe, {**self.overrides, **overrides}, weights)


def open_recipe(name: str) -> ChosenRecipe:
    """The recipe that `--recipe` names: one of the list, or the path of a .toml file. Raises UsageError when there is
    none of that name, InputError naming the file and the key when something is wrong in it."""
    return read_recipe(Path(name)) if name.endswith(SUFFIX) else ChosenRecipe(find_recipe(name), name)


def read_recipe(path: Path) -> ChosenRecipe:
    """Read a recipe's file. Its name is the file's, unless it has one of its own. Raises InputError naming the file,
    and the key when something is wrong in it."""
    try:
        raw = parse_toml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"cannot read the recipe {path}: {error}") from error
    try:
        teachers = _teachers(raw.pop(TEACHER, []))
        about = _about(raw, ABOUT)
        base = find_recipe(about[BASE])
        recipe = _described(base, about, path.stem)
        chosen = ChosenRecipe(recipe, base.name, _overrides(raw), teachers)
        chosen.with_overrides({}, recipe.default_weights)
    except UsageError as error:
        raise InputError(f"{path}: {error.message}", hint=error.hint) from error
    return chosen


def to_toml(recipe: Recipe, *, base: str) -> str:
    """The text of a file that says all that can be set of `recipe`, for the stages that run with its own weights;
    `base` is the listed recipe that it was made of."""
    chosen = recipe.default_weights
    lines = [
        f"# {recipe.name}: {recipe.summary}.",
        "# Leave out what is to stay as it is in the base; the ranges: docs/baseline.md.",
        f"{BASE} = {_toml(base)}",
        f"{NAME} = {_toml(recipe.name if recipe.name != base else 'my-' + base)}",
    ]
    if recipe.pretrained:
        lines.append(f"{WEIGHTS} = {_toml(chosen)}")
    lines += [f"{key} = {_toml(value)}" for key, value in _recipe_values(recipe, chosen)]
    for stage in recipe.stages_with(chosen):
        lines += ["", f"[{STAGES}.{stage.trains}]"]
        lines += [f"{key} = {_toml(value)}" for key, value in _stage_values(stage)]
    for teacher in recipe.teachers:
        lines += ["", *_teacher_lines(teacher, chosen)]
    return "\n".join(lines) + "\n"


def overrides_toml(
    base: str, overrides: Overrides, *, name: str, weights: str, teachers: tuple[Teacher, ...] = ()
) -> str:
    """The text of a file that changes a listed recipe by `overrides`, and trains with `weights` and `teachers`."""
    lines = [f"{BASE} = {_toml(base)}", f"{NAME} = {_toml(name)}", f"{WEIGHTS} = {_toml(weights)}"]
    for key, value in overrides.items():
        word, _, rest = key.partition(".")
        # --set head.… is [stages.head]; the other way round in _flat.
        lines.append(
            f"{STAGES}.{key} = {_toml(value)}"
            if rest and word in STAGE_WORDS and word != STAGES
            else f"{key} = {_toml(value)}"
        )
    for teacher in teachers:
        lines += ["", *_teacher_lines(teacher, weights)]
    return "\n".join(lines) + "\n"


def _about(raw: dict[str, Any], keys: tuple[str, ...]) -> dict[str, str]:
    """Takes out of a table what says which recipe it is."""
    about = {key: raw.pop(key) for key in keys if key in raw}
    for key, value in about.items():
        if not isinstance(value, str) or not value:
            raise UsageError(f"{key} is a word or words, not {value!r}")
    if BASE not in about:
        raise UsageError(f'there is no base: {BASE} = "cnn5" names the recipe that this one begins with')
    return about


def _overrides(raw: Mapping[str, Any]) -> dict[str, Value]:
    overrides = dict(_flat(raw))
    for key, value in overrides.items():
        check_value(key, value)
    return overrides


def _described(base: Recipe, about: Mapping[str, str], stem: str) -> Recipe:
    weights = about.get(WEIGHTS, base.default_weights)
    _check_weights(base, weights)
    name, summary = about.get(NAME, stem), about.get(SUMMARY, base.summary)
    if NO_NAME.search(name):
        raise UsageError(f"{NAME}={name!r}: a recipe's name is that of its bundle's folder", hint='name = "my-cnn5"')
    return replace(base, name=name, summary=summary, default_weights=weights)


def _check_weights(base: Recipe, weights: str) -> None:
    if weights != NO_WEIGHTS and not base.pretrained:
        raise UsageError(f"{WEIGHTS}={weights}: the recipe {base.name} has no pretrained weights")


def _teachers(raw: Any) -> tuple[ChosenTeacher, ...]:
    if not isinstance(raw, list) or any(not isinstance(table, dict) for table in raw):
        raise UsageError(f"each {TEACHER} is a table of its own: [[{TEACHER}]]")
    teachers = tuple(_teacher(table, number) for number, table in enumerate(raw, 1))
    names = [one.teacher.name for one in teachers]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two teachers are called {name!r}")
    return teachers


def _teacher(table: dict[str, Any], number: int) -> ChosenTeacher:
    try:
        about, seed = _about(table, ABOUT_TEACHER), table.pop(SEED, number)
        base = find_recipe(about[BASE])
        # Of a net without pretrained weights the training's are no other's.
        weights = about.get(WEIGHTS, "" if base.pretrained else NO_WEIGHTS)
        _check_weights(base, weights or NO_WEIGHTS)
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise UsageError(f"{SEED} is a whole number from 0, not {seed!r}")
        teacher = Teacher(about.get(NAME, f"{TEACHER}-{number}"), base, seed, weights)
        return ChosenTeacher(teacher, _overrides(table))
    except UsageError as error:
        raise UsageError(f"{TEACHER} {number}: {error.message}", hint=error.hint) from error


def _teacher_lines(teacher: Teacher, weights: str) -> Iterator[str]:
    yield f"[[{TEACHER}]]"
    about: dict[str, Value] = {BASE: teacher.recipe.name, NAME: teacher.name, SEED: teacher.seed}
    if teacher.weights:
        about[WEIGHTS] = teacher.weights
    own = teacher.weights or weights
    for key, value in (*about.items(), *_recipe_values(teacher.recipe, own)):
        yield f"{key} = {_toml(value)}"
    for stage in teacher.recipe.stages_with(own):
        yield from (f"{STAGES}.{stage.trains}.{key} = {_toml(value)}" for key, value in _stage_values(stage))


def _flat(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Value]]:
    for key, value in table.items():
        # [stages.head] is --set head.…; [stages.optimizer] is --set stages.optimizer.…
        name = key if before == STAGES and key in STAGE_WORDS else f"{before}.{key}".strip(".")
        if isinstance(value, Mapping):
            yield from _flat(value, name)
        else:
            yield name, value


def _recipe_values(recipe: Recipe, weights: str) -> Iterator[tuple[str, Value]]:
    for key in RECIPE_KNOBS:
        value = getattr(recipe, key)
        if value is None:
            continue
        try:
            apply_overrides(recipe, {key: value}, weights)
        except UsageError:
            continue  # the recipe has no such knob
        yield key, value


def _stage_values(stage: Stage) -> Iterator[tuple[str, Value]]:
    for key in STAGE_KNOBS:
        value: Any = stage
        for name in key.split("."):
            value = getattr(value, name, None)
        if value is not None and stage_has(stage, key):
            yield key, value


def _toml(value: Value) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)  # a JSON string is a TOML string
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value)
