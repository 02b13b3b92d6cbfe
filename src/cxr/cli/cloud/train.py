"""`cxr cloud train automl | custom | tune`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cxr.cli.cloud.common import CloudFlags
from cxr.cli.cloud.train_options import (
    Accelerator,
    Again,
    Apply,
    BudgetHours,
    BudgetNodeHours,
    DiskGb,
    DryRun,
    Engine,
    Epochs,
    Gpus,
    Image,
    LaunchWishes,
    Machine,
    MaxCost,
    ModelType,
    Overrides,
    PlanCommand,
    PlanTo,
    Prices,
    Replicas,
    Seed,
    Spot,
    Weights,
    check_apply_alone,
)
from cxr.cli.cloud.train_steps import plan_and_launch
from cxr.cli.completions import recipe_names
from cxr.cli.options import (
    DEFAULT_MANIFEST,
    Bucket,
    Json,
    ManifestPath,
    On,
    Prefix,
    Project,
    Quiet,
    Region,
    StateDir,
    Yes,
)
from cxr.cli.out import Out

if TYPE_CHECKING:
    from cxr.cloud.connection import Connection
    from cxr.cloud.trainer.job import CustomOptions

app = typer.Typer(
    help="Launch a training or tuning job; its cost is shown first."
    "\n\nExample: cxr cloud train custom --recipe mobilenet-v2 --spot --plan",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("automl", cls=PlanCommand)
def automl(
    ctx: typer.Context,
    manifest: ManifestPath = DEFAULT_MANIFEST,
    model_type: ModelType = None,
    budget_node_hours: BudgetNodeHours = None,
    budget_hours: BudgetHours = None,
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Train even if some images could not be imported.")
    ] = False,
    again: Again = False,
    plan: PlanTo = None,
    dry_run: DryRun = False,
    apply: Apply = None,
    max_cost: MaxCost = None,
    prices: Prices = None,
    on: On = None,
    project: Project = None,
    region: Region = None,
    bucket: Bucket = None,
    prefix: Prefix = None,
    state_dir: StateDir = None,
    yes: Yes = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train with Vertex AutoML or SageMaker Autopilot on the manifest's own split (never the service's random one).

    Example: cxr cloud train automl --budget-node-hours 2 --max-cost 40 --plan plan.json
    """
    from cxr.cli.cloud.train_makers import automl_maker
    from cxr.cloud.provider import AutoMLWishes, LaunchOptions

    out = Out(json=json, quiet=quiet)
    flags = CloudFlags(on, project, region, bucket, prefix, state_dir, prices)
    wishes = _wishes(ctx, plan, dry_run, apply, max_cost, again, yes)
    asked = AutoMLWishes(model_type, budget_node_hours, budget_hours)
    maker = automl_maker(asked, LaunchOptions(allow_partial=allow_partial, on_step=out.say))
    plan_and_launch(out, flags, wishes, maker, manifest)


@app.command("custom", cls=PlanCommand)
def custom(
    ctx: typer.Context,
    manifest: ManifestPath = DEFAULT_MANIFEST,
    recipe: Annotated[
        str, typer.Option("--recipe", help="What to train; see cxr baseline recipes.", autocompletion=recipe_names)
    ] = "mobilenet-v2",
    engine: Engine = None,
    machine: Machine = None,
    gpus: Gpus = None,
    accelerator: Accelerator = None,
    replicas: Replicas = 1,
    spot: Spot = None,
    disk_gb: DiskGb = 100,
    timeout_hours: Annotated[float, typer.Option("--timeout-hours", help="The job is ended after this long.")] = 2.0,
    epochs: Epochs = None,
    seed: Seed = 7,
    weights: Weights = None,
    overrides: Overrides = None,
    image: Image = None,
    again: Again = False,
    plan: PlanTo = None,
    dry_run: DryRun = False,
    apply: Apply = None,
    max_cost: MaxCost = None,
    prices: Prices = None,
    on: On = None,
    project: Project = None,
    region: Region = None,
    bucket: Bucket = None,
    prefix: Prefix = None,
    state_dir: StateDir = None,
    yes: Yes = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a recipe on managed GPUs with the same trainer that runs here.

    Example: cxr cloud train custom --recipe mobilenet-v2 --machine g2-standard-4 --spot --yes
    """
    from cxr.cli.cloud.train_makers import chosen_recipe, custom_maker
    from cxr.cloud.provider import LaunchOptions

    out = Out(json=json, quiet=quiet)
    flags = CloudFlags(on, project, region, bucket, prefix, state_dir, prices)
    wishes = _wishes(ctx, plan, dry_run, apply, max_cost, again, yes)
    start_from = chosen_recipe(recipe, weights).weights

    def options(where: Connection) -> CustomOptions:
        return _custom_options(where, ctx.params, timeout_hours)

    maker = custom_maker(options, start_from, LaunchOptions(on_step=out.say))
    plan_and_launch(out, flags, wishes, maker, manifest)


@app.command("tune", cls=PlanCommand)
def tune(
    ctx: typer.Context,
    manifest: ManifestPath = DEFAULT_MANIFEST,
    recipe: Annotated[
        str, typer.Option("--recipe", help="What to tune; see cxr baseline recipes.", autocompletion=recipe_names)
    ] = "mobilenet-v2",
    space: Annotated[
        Path | None, typer.Option("--space", metavar="FILE", help="Search space (TOML) [default: the recipe's own].")
    ] = None,
    trials: Annotated[int, typer.Option("--trials", min=1, max=1000, help="Trials altogether.")] = 10,
    parallel: Annotated[int, typer.Option("--parallel", min=1, max=100, help="Trials at once.")] = 2,
    machine: Machine = None,
    gpus: Gpus = None,
    accelerator: Accelerator = None,
    spot: Spot = None,
    disk_gb: DiskGb = 100,
    timeout_hours: Annotated[
        float, typer.Option("--trial-timeout-hours", help="Each trial is ended after this long.")
    ] = 1.0,
    epochs: Epochs = None,
    seed: Seed = 7,
    weights: Weights = None,
    overrides: Overrides = None,
    image: Image = None,
    again: Again = False,
    plan: PlanTo = None,
    dry_run: DryRun = False,
    apply: Apply = None,
    max_cost: MaxCost = None,
    prices: Prices = None,
    on: On = None,
    project: Project = None,
    region: Region = None,
    bucket: Bucket = None,
    prefix: Prefix = None,
    state_dir: StateDir = None,
    yes: Yes = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Search for better settings of a recipe: many trials on managed GPUs, the best one becomes a bundle.

    Example: cxr cloud train tune --recipe mobilenet-v2 --trials 12 --parallel 3 --max-cost 20
    """
    from cxr.cli.cloud.train_makers import chosen_recipe, trial_settings, tune_maker
    from cxr.cloud.provider import LaunchOptions
    from cxr.cloud.trainer.job import TuneOptions

    out = Out(json=json, quiet=quiet)
    flags = CloudFlags(on, project, region, bucket, prefix, state_dir, prices)
    wishes = _wishes(ctx, plan, dry_run, apply, max_cost, again, yes)
    chosen, how = chosen_recipe(recipe, weights), LaunchOptions(on_step=out.say)

    def options(where: Connection) -> TuneOptions:
        trial = _custom_options(where, {**ctx.params, "replicas": 1, "engine": None}, timeout_hours)
        settings = trial_settings(space, chosen, overrides or ())
        return TuneOptions(replace(trial, overrides=settings.overrides), settings.space, trials, parallel)

    plan_and_launch(out, flags, wishes, tune_maker(options, chosen.weights, how), manifest)


def _wishes(
    ctx: typer.Context,
    plan: str | None,
    dry_run: bool,
    apply: Path | None,
    max_cost: float | None,
    again: bool,
    yes: bool,
) -> LaunchWishes:
    if apply is not None:
        check_apply_alone(ctx)
    return LaunchWishes(plan, dry_run, apply, max_cost, again, yes)


def _custom_options(where: Connection, given: dict[str, Any], timeout_hours: float) -> CustomOptions:
    from cxr.cli.cloud.train_makers import check_recipe, chosen_recipe
    from cxr.cloud.provider import HardwareWishes
    from cxr.cloud.trainer.job import CustomOptions

    chosen = chosen_recipe(given["recipe"], given["weights"])
    overrides = (*chosen.overrides, *(given["overrides"] or ()))
    check_recipe(chosen.recipe, chosen.weights, overrides)
    names = ("machine", "gpus", "accelerator", "replicas", "spot", "disk_gb", "engine")
    wishes = HardwareWishes(**{name: given[name] for name in names})
    hardware = where.provider.hardware(wishes)
    return CustomOptions(
        recipe=chosen.recipe,
        hardware=hardware,
        timeout_hours=timeout_hours,
        epochs=given["epochs"],
        seed=given["seed"],
        weights=chosen.weights,
        image=given["image"] or where.provider.image(where, hardware, wishes),
        overrides=overrides,
        engine=where.provider.engine(wishes),
    )
