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
    DiskGb,
    DryRun,
    Epochs,
    Gpus,
    Image,
    LaunchWishes,
    Machine,
    MaxCost,
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
    from cxr.cloud.vertex.container import CustomOptions

app = typer.Typer(
    help="Launch a training or tuning job; its cost is shown first.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("automl", cls=PlanCommand)
def automl(
    ctx: typer.Context,
    manifest: ManifestPath = DEFAULT_MANIFEST,
    model_type: Annotated[
        str,
        typer.Option("--model-type", help="mobile-versatile, mobile-low-latency, mobile-high-accuracy or cloud."),
    ] = "mobile-versatile",
    budget_node_hours: Annotated[
        float, typer.Option("--budget-node-hours", help="The most that training may use: 1-100, cloud models 8-800.")
    ] = 1.0,
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
    """Train with Vertex AutoML on the manifest's own split (never the service's random one).

    Example: cxr cloud train automl --budget-node-hours 2 --max-cost 40 --plan plan.json
    """
    from cxr.cli.cloud.train_makers import automl_maker
    from cxr.cloud.vertex.automl import AutoMLOptions

    out = Out(json=json, quiet=quiet)
    flags = CloudFlags(on, project, region, bucket, prefix, state_dir, prices)
    wishes = _wishes(ctx, plan, dry_run, apply, max_cost, again, yes)
    maker = automl_maker(AutoMLOptions(model_type, budget_node_hours), allow_partial=allow_partial, on_step=out.say)
    plan_and_launch(out, flags, wishes, maker, manifest)


@app.command("custom", cls=PlanCommand)
def custom(
    ctx: typer.Context,
    manifest: ManifestPath = DEFAULT_MANIFEST,
    recipe: Annotated[str, typer.Option("--recipe", help="What to train; see cxr baseline recipes.")] = "mobilenet-v2",
    machine: Machine = "g2-standard-4",
    gpus: Gpus = None,
    accelerator: Accelerator = None,
    replicas: Replicas = 1,
    spot: Spot = False,
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

    out = Out(json=json, quiet=quiet)
    flags = CloudFlags(on, project, region, bucket, prefix, state_dir, prices)
    wishes = _wishes(ctx, plan, dry_run, apply, max_cost, again, yes)
    start_from = chosen_recipe(recipe, weights).weights

    def options() -> CustomOptions:
        return _custom_options(ctx.params, timeout_hours)

    plan_and_launch(out, flags, wishes, custom_maker(options, start_from, on_step=out.say), manifest)


@app.command("tune", cls=PlanCommand)
def tune(
    ctx: typer.Context,
    manifest: ManifestPath = DEFAULT_MANIFEST,
    recipe: Annotated[str, typer.Option("--recipe", help="What to tune; see cxr baseline recipes.")] = "mobilenet-v2",
    space: Annotated[
        Path | None, typer.Option("--space", metavar="FILE", help="Search space (TOML) [default: the recipe's own].")
    ] = None,
    trials: Annotated[int, typer.Option("--trials", min=1, max=1000, help="Trials altogether.")] = 10,
    parallel: Annotated[int, typer.Option("--parallel", min=1, max=100, help="Trials at once.")] = 2,
    machine: Machine = "g2-standard-4",
    gpus: Gpus = None,
    accelerator: Accelerator = None,
    spot: Spot = False,
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
    from cxr.cloud.vertex.tuning import TuneOptions

    out = Out(json=json, quiet=quiet)
    flags = CloudFlags(on, project, region, bucket, prefix, state_dir, prices)
    wishes = _wishes(ctx, plan, dry_run, apply, max_cost, again, yes)
    chosen = chosen_recipe(recipe, weights)

    def options() -> TuneOptions:
        trial = _custom_options({**ctx.params, "replicas": 1}, timeout_hours)
        settings = trial_settings(space, chosen, overrides or ())
        return TuneOptions(replace(trial, overrides=settings.overrides), settings.space, trials, parallel)

    plan_and_launch(out, flags, wishes, tune_maker(options, chosen.weights, on_step=out.say), manifest)


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


def _custom_options(given: dict[str, Any], timeout_hours: float) -> CustomOptions:
    from cxr.cli.cloud.train_makers import check_recipe, chosen_recipe
    from cxr.cloud.offers import choose_hardware
    from cxr.cloud.vertex.container import DEFAULT_IMAGE, CustomOptions

    chosen = chosen_recipe(given["recipe"], given["weights"])
    overrides = (*chosen.overrides, *(given["overrides"] or ()))
    check_recipe(chosen.recipe, chosen.weights, overrides)
    hardware = choose_hardware(
        given["machine"],
        gpus=given["gpus"],
        accelerator=given["accelerator"],
        replicas=given["replicas"],
        spot=given["spot"],
        disk_gb=given["disk_gb"],
    )
    return CustomOptions(
        recipe=chosen.recipe,
        hardware=hardware,
        timeout_hours=timeout_hours,
        epochs=given["epochs"],
        seed=given["seed"],
        weights=chosen.weights,
        image=given["image"] or DEFAULT_IMAGE,
        overrides=overrides,
    )
