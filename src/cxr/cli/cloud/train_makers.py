"""How each kind of job is planned from what the command line says; the cloud itself restores and launches plans."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr.cli.cloud.train_options import planned_epochs
from cxr.cli.cloud.train_steps import Context, Maker
from cxr.cloud.connection import Connection
from cxr.cloud.jobs.estimates import like_before
from cxr.cloud.plans.launch import JobKind, LaunchPlan
from cxr.cloud.provider import AutoMLWishes, JobOptions, LaunchOptions, options_as
from cxr.cloud.trainer.job import WEIGHTS_WORDS, CustomOptions, TuneOptions
from cxr.errors import UsageError
from cxr.local_baseline.recipes import NO_WEIGHTS, find_recipe
from cxr.local_baseline.recipes.overrides import HYPERPARAMETERS, apply_overrides, fixed_in, parse_overrides
from cxr.local_baseline.recipes.recipe_file import open_recipe
from cxr.local_baseline.recipes.search_space import Parameter, check_free, default_space, read_space
from cxr.manifests.manifest import Manifest


def automl_maker(wishes: AutoMLWishes, how: LaunchOptions) -> Maker:
    """AutoML jobs."""

    def plan(context: Context, options: JobOptions, attempt: int) -> LaunchPlan:
        where = context.connection
        return where.provider.plan_automl(where, context.manifest, options, prices=context.prices, attempt=attempt)

    return Maker(JobKind.AUTOML, lambda where: where.provider.automl_options(wishes), dict, plan, how)


def custom_maker(options: Callable[[Connection], CustomOptions], weights: str, how: LaunchOptions) -> Maker:
    """GPU jobs; `options` are read when the plan is made, which may fail."""

    def plan(context: Context, told: JobOptions, attempt: int) -> LaunchPlan:
        options = options_as(CustomOptions, told)
        where, jobs = context.connection, context.journal.jobs()
        return where.provider.plan_custom(
            where,
            context.manifest,
            options,
            prices=context.prices,
            expectation=like_before(jobs, options.request(), context.manifest.hash, where),
            epochs=_epochs(options, context.manifest),
            attempt=attempt,
        )

    return Maker(JobKind.CUSTOM, options, lambda: _inputs(weights), plan, how)


def tune_maker(options: Callable[[Connection], TuneOptions], weights: str, how: LaunchOptions) -> Maker:
    """Tuning jobs; `options` are read when the plan is made, which may fail."""

    def plan(context: Context, told: JobOptions, attempt: int) -> LaunchPlan:
        options = options_as(TuneOptions, told)
        where = context.connection
        return where.provider.plan_tune(
            where,
            context.manifest,
            options,
            prices=context.prices,
            epochs=_epochs(options.trial, context.manifest),
            attempt=attempt,
        )

    return Maker(JobKind.TUNE, options, lambda: _inputs(weights), plan, how)


@dataclass(frozen=True, slots=True)
class JobRecipe:
    """What a job is told of `--recipe` and `--weights`: a recipe's file stays here, its contents travel as `--set`."""

    recipe: str
    weights: str
    overrides: tuple[str, ...]


def chosen_recipe(recipe: str, weights: str | None) -> JobRecipe:
    """Read `--recipe` (a name or a .toml file) and `--weights`. Raises UsageError or InputError for what there is
    not."""
    chosen = open_recipe(recipe)
    if chosen.teachers:
        raise UsageError(f"{recipe} has teachers, which a job cannot be told of", hint="train it here")
    texts = tuple(f"{key}={value}" for key, value in chosen.overrides.items())
    return JobRecipe(chosen.base, chosen.recipe.weights_or_default(weights), texts)


def check_recipe(recipe: str, weights: str, overrides: tuple[str, ...]) -> None:
    """Raises UsageError for a recipe that is not known, weights that it does not take or an impossible override."""
    found = find_recipe(recipe)
    if not found.pretrained and weights != NO_WEIGHTS:
        raise UsageError(f"the recipe {recipe} has no pretrained weights", hint="leave --weights out")
    apply_overrides(found, parse_overrides(overrides), weights)


@dataclass(frozen=True, slots=True)
class TrialSettings:
    """What a tuning job varies, as plain data, and what it sets for all trials."""

    space: tuple[Mapping[str, Any], ...]
    overrides: tuple[str, ...]


def trial_settings(path: Path | None, chosen: JobRecipe, sets: Sequence[str]) -> TrialSettings:
    """The search space of a file, or all that the recipe has and `sets` (the texts of `--set`) leave free. What a
    recipe's file says of a parameter that is searched no trial would have: it is left out.

    Raises InputError or UsageError for a space that the trainer would refuse, or that searches what is set.
    """
    given = parse_overrides(chosen.overrides)
    fixed = parse_overrides(sets)
    recipe = apply_overrides(find_recipe(chosen.recipe), {**given, **fixed}, chosen.weights)
    space = read_space(path) if path else default_space(chosen.recipe, recipe, chosen.weights, fixed)
    if space.recipe != chosen.recipe:
        raise UsageError(f"{path} is the search space of {space.recipe}", hint=f"--recipe {space.recipe}")
    check_free(space, recipe, chosen.weights, fixed)
    searched = {HYPERPARAMETERS[parameter.id] for parameter in space.parameters}
    kept = [
        text
        for text, key in zip(chosen.overrides, given, strict=True)
        if key not in fixed and searched.isdisjoint(fixed_in({key: given[key]}, recipe, chosen.weights, also_all=False))
    ]
    return TrialSettings(tuple(_plain(parameter) for parameter in space.parameters), (*kept, *sets))


def _plain(parameter: Parameter) -> dict[str, Any]:
    said: dict[str, Any] = {"id": parameter.id, "kind": str(parameter.kind)}
    if parameter.values:
        return {**said, "values": list(parameter.values), "scale": str(parameter.scale)}
    return {**said, "low": parameter.low, "high": parameter.high, "scale": str(parameter.scale)}


def _epochs(options: CustomOptions, manifest: Manifest) -> int:
    recipe = apply_overrides(find_recipe(options.recipe), parse_overrides(options.overrides), options.weights)
    return planned_epochs(recipe, max(1, len(manifest.split("train"))), options.weights)


def _inputs(weights: str) -> dict[str, str]:
    return {} if weights in WEIGHTS_WORDS else {"weights": str(Path(weights).resolve())}
