"""`cxr cloud train automl` and `cxr cloud train custom`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.cli.cloud.common import CloudFlags, open_connection, open_journal, show_plan
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
from cxr.errors import UsageError

if TYPE_CHECKING:
    from cxr.cloud.connection import Connection
    from cxr.cloud.journal import Journal
    from cxr.cloud.launching import Launch
    from cxr.cloud.plans import LaunchPlan

app = typer.Typer(help="Launch a training job; its price is shown first.", no_args_is_help=True, rich_markup_mode=None)

Again = Annotated[bool, typer.Option("--again", help="Launch anew even if this plan has succeeded before.")]
PlanOnly = Annotated[
    bool, typer.Option("--dry-run", help="Show the plan and its price and stop; asks nobody, needs no account.")
]


@app.command("automl")
def automl(
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
    dry_run: PlanOnly = False,
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

    Example: cxr cloud train automl --budget-node-hours 2 --yes
    """
    from cxr.cloud.vertex.automl import plan_automl
    from cxr.cloud.vertex.launches import launch_automl
    from cxr.manifests.manifest_file import read_manifest

    out, flags = Out(json=json, quiet=quiet), CloudFlags(on, project, region, bucket, prefix, state_dir)
    read = read_manifest(manifest)
    plan = plan_automl(
        _connection(flags, out, dry_run=dry_run), read, model_type=model_type, budget_node_hours=budget_node_hours
    )

    def start(journal: Journal, plan: LaunchPlan) -> Launch:
        return launch_automl(journal, plan, read, allow_partial=allow_partial, on_step=out.say)

    _plan_and_launch(out, flags, plan, start, again=again, yes=yes, dry_run=dry_run)


@app.command("custom")
def custom(
    manifest: ManifestPath = DEFAULT_MANIFEST,
    recipe: Annotated[str, typer.Option("--recipe", help="What to train; see cxr baseline recipes.")] = "mobilenet-v2",
    machine: Annotated[str, typer.Option("--machine", help="Machine type.")] = "g2-standard-4",
    spot: Annotated[bool, typer.Option("--spot", help="Use spot capacity.")] = False,
    timeout_hours: Annotated[float, typer.Option("--timeout-hours", help="The job is ended after this long.")] = 2.0,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Epochs, if not the recipe's.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of everything random.")] = 7,
    weights: Annotated[str, typer.Option("--weights", help="none, imagenet, or a .h5 file.")] = "none",
    image: Annotated[str | None, typer.Option("--image", help="Container image with TensorFlow.")] = None,
    again: Again = False,
    dry_run: PlanOnly = False,
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
    """Train a recipe on a managed GPU with the same trainer that runs here.

    Example: cxr cloud train custom --recipe mobilenet-v2 --machine g2-standard-4 --yes
    """
    from cxr.cloud.vertex.custom import DEFAULT_IMAGE, CustomOptions, plan_custom
    from cxr.cloud.vertex.launches import launch_custom
    from cxr.local_baseline.recipes import NO_WEIGHTS, find_recipe
    from cxr.manifests.manifest_file import read_manifest

    out, flags = Out(json=json, quiet=quiet), CloudFlags(on, project, region, bucket, prefix, state_dir)
    if not find_recipe(recipe).pretrained and weights != NO_WEIGHTS:
        raise UsageError(f"the recipe {recipe} has no pretrained weights", hint="leave --weights out")
    read = read_manifest(manifest)
    options = CustomOptions(recipe, machine, spot, timeout_hours, epochs, seed, weights, image or DEFAULT_IMAGE)
    plan = plan_custom(_connection(flags, out, dry_run=dry_run), read, options)

    def start(journal: Journal, plan: LaunchPlan) -> Launch:
        return launch_custom(journal, plan, read, options, on_step=out.say)

    _plan_and_launch(out, flags, plan, start, again=again, yes=yes, dry_run=dry_run)


def _connection(flags: CloudFlags, out: Out, *, dry_run: bool) -> Connection:
    from cxr.cloud.connection import resolve

    settings = flags.settings()
    return resolve(settings) if dry_run else open_connection(settings, out)


def _plan_and_launch(
    out: Out,
    flags: CloudFlags,
    plan: LaunchPlan,
    start: Callable[[Journal, LaunchPlan], Launch],
    *,
    again: bool,
    yes: bool,
    dry_run: bool,
) -> None:
    from cxr.cloud.launching import next_attempt
    from cxr.cloud.vertex.launches import latest_attempt

    journal = open_journal(flags.settings())
    if dry_run:
        plan = next_attempt(journal, plan, again=again)
        show_plan(out, plan.kind, plan.rows(), plan.notes)
        out.result("cloud.plan", plan.as_json())
        return
    plan = latest_attempt(plan.connection, journal, plan, again=again)
    show_plan(out, plan.kind, plan.rows(), plan.notes)
    known = journal.get(plan.job_id)
    if not (known and known.resource):
        out.confirm(f"Launch {plan.job_id}?", yes=yes)
    _report(out, flags, start(journal, plan), plan)


def _report(out: Out, flags: CloudFlags, launched: Launch, plan: LaunchPlan) -> None:
    job = launched.job
    if launched.fresh:
        out.say(f"launched {job.id}: {job.resource}")
    elif job.finished:
        out.say(f"this plan is already {job.id} ({job.state}); launch it anew with --again")
    else:
        out.say(f"this plan is already {job.id} ({job.state}); to launch it anew, end that: cxr cloud cancel {job.id}")
    out.hint(flags.follow_up(f"cxr cloud wait {job.id}"))
    result = {**plan.as_json(), "resource": job.resource, "state": job.state, "fresh": launched.fresh}
    out.result("cloud.launch", result)
