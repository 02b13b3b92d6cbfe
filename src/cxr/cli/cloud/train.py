"""`cxr cloud train automl` and `cxr cloud train custom`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.cli.cloud.common import open_connection, open_journal, settings_from, show_plan
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
    from cxr.cloud.connection import resolve
    from cxr.cloud.launching import next_attempt
    from cxr.cloud.vertex.automl import plan_automl, submit_automl
    from cxr.cloud.vertex.datasets import ensure_dataset
    from cxr.manifests.manifest import read_manifest

    out = Out(json=json, quiet=quiet)
    read = read_manifest(manifest)
    settings = settings_from(on, project, region, bucket, prefix, state_dir)
    connection = resolve(settings) if dry_run else open_connection(settings, out)
    journal = open_journal(settings)
    plan = plan_automl(connection, read, model_type=model_type, budget_node_hours=budget_node_hours)
    plan = next_attempt(journal, plan, again=again)

    def submit() -> str:
        state = ensure_dataset(connection, read, on_step=out.say)
        for failure in state.partial_failures:
            out.warn(f"not imported: {failure}")
        return submit_automl(plan, state.resource)

    _plan_and_launch(out, journal, plan, submit, yes=yes, dry_run=dry_run)


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
    from cxr.cloud.connection import resolve
    from cxr.cloud.launching import next_attempt
    from cxr.cloud.vertex.custom import DEFAULT_IMAGE, CustomOptions, job_output_url, plan_custom, submit_custom
    from cxr.cloud.vertex.datasets import check_uploaded
    from cxr.local_baseline.recipes import find_recipe
    from cxr.manifests.manifest import read_manifest

    out = Out(json=json, quiet=quiet)
    find_recipe(recipe)
    read = read_manifest(manifest)
    settings = settings_from(on, project, region, bucket, prefix, state_dir)
    connection = resolve(settings) if dry_run else open_connection(settings, out)
    journal = open_journal(settings)
    options = CustomOptions(recipe, machine, spot, timeout_hours, epochs, seed, weights, image or DEFAULT_IMAGE)
    plan = next_attempt(journal, plan_custom(connection, read, options), again=again)

    def submit() -> str:
        check_uploaded(connection, read)
        return submit_custom(plan, options, on_step=out.say)

    _plan_and_launch(out, journal, plan, submit, output_url=job_output_url(plan), yes=yes, dry_run=dry_run)


def _plan_and_launch(
    out: Out,
    journal: Journal,
    plan: LaunchPlan,
    submit: Callable[[], str],
    *,
    yes: bool,
    dry_run: bool,
    output_url: str = "",
) -> None:
    from cxr.cloud.launching import launch

    show_plan(out, plan.kind, plan.rows(), plan.notes)
    if dry_run:
        out.result("cloud.plan", plan.as_json())
        return
    known = journal.get(plan.job_id)
    if not (known and known.resource):
        out.confirm(f"Launch {plan.job_id}?", yes=yes)
    _report(out, launch(journal, plan, submit, output_url=output_url), plan)


def _report(out: Out, launched: Launch, plan: LaunchPlan) -> None:
    job = launched.job
    if launched.fresh:
        out.say(f"launched {job.id}: {job.resource}")
    else:
        out.say(f"this plan is already {job.id} ({job.state}); launch anew with --again")
    out.hint(f"cxr cloud wait {job.id}")
    out.result(
        "cloud.launch", {**plan.as_json(), "resource": job.resource, "state": job.state, "fresh": launched.fresh}
    )
