"""`cxr cloud check`, and the same checks before an upload or a launch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.cli.cloud.check_steps import check_plan_alone, given_flags, planned_subject, with_manifest
from cxr.cli.cloud.common import CloudFlags, open_connection, prices_at
from cxr.cli.cloud.train_options import (
    Accelerator,
    BudgetHours,
    BudgetNodeHours,
    DiskGb,
    Engine,
    Gpus,
    Machine,
    ModelType,
    Prices,
    Replicas,
    Spot,
)
from cxr.cli.findings_table import Row, show_findings
from cxr.cli.options import DEFAULT_MANIFEST, Bucket, Json, On, Prefix, Project, Quiet, Region, StateDir
from cxr.cli.out import Out
from cxr.errors import UsageError

if TYPE_CHECKING:
    from cxr.cloud.connection import Connection
    from cxr.cloud.plans.launch import LaunchPlan
    from cxr.cloud.preflight import Finding, Subject
    from cxr.manifests.manifest import Manifest
    from cxr.storage.transfer.haul import Haul

TrialTimeout = Annotated[float, typer.Option("--trial-timeout-hours", help="How long each trial may take.")]
SavedPlanPath = Annotated[
    Path | None, typer.Option("--plan", metavar="FILE", help="Check exactly this saved launch plan.")
]
#: What --for takes; without it everything that is common to all is looked at.
KINDS = ("automl", "custom", "tune", "image", "upload")


def check(
    ctx: typer.Context,
    kind: Annotated[
        str | None, typer.Option("--for", help="What is to be started: automl, custom, tune, image or upload.")
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option("--manifest", "-m", help="The manifest to work on [default: manifest.csv].")
    ] = None,
    model_type: ModelType = None,
    budget_node_hours: BudgetNodeHours = None,
    budget_hours: BudgetHours = None,
    engine: Engine = None,
    machine: Machine = None,
    gpus: Gpus = None,
    accelerator: Accelerator = None,
    replicas: Replicas = 1,
    spot: Spot = None,
    disk_gb: DiskGb = 100,
    timeout_hours: Annotated[float, typer.Option("--timeout-hours", help="How long a custom job may take.")] = 2.0,
    trials: Annotated[int, typer.Option("--trials", min=1, max=1000, help="Trials of a tuning job.")] = 10,
    parallel: Annotated[int, typer.Option("--parallel", min=1, max=100, help="Trials at once.")] = 2,
    trial_timeout_hours: TrialTimeout = 1.0,
    plan: SavedPlanPath = None,
    prices: Prices = None,
    on: On = None,
    project: Project = None,
    region: Region = None,
    bucket: Bucket = None,
    prefix: Prefix = None,
    state_dir: StateDir = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Look at everything that would stop an upload or a job, before it is started. Nothing is changed.

    Example: cxr cloud check --for custom --machine g2-standard-4 --gpus 1 --spot
    """
    if kind is not None and kind not in KINDS:
        raise UsageError(f"there is nothing called {kind!r} to check for", hint=f"choose one of: {', '.join(KINDS)}")
    from cxr.cloud.connection import resolve
    from cxr.cloud.preflight import preflight
    from cxr.cloud.provider import Feature, check_offered
    from cxr.cloud.providers import provider_of

    out, flags = Out(json=json, quiet=quiet), CloudFlags(on, project, region, bucket, prefix, state_dir, prices)
    settings = flags.settings()
    if kind == "image":
        check_offered(provider_of(settings.on), Feature.IMAGE_BUILDS)
    if plan is not None:
        check_plan_alone(ctx)
        settings, subject, findings = planned_subject(plan, kind, settings)
    else:
        subject, findings = with_manifest(_subject(ctx, kind), manifest)
    table = prices_at(provider_of(settings.on), settings)
    subject = replace(subject, prices=table, state_dir=settings.state_dir)
    # Missing credentials are a finding here, so nobody looks for them beforehand.
    connection = resolve(settings) if settings.on.billed else open_connection(settings, out)
    with out.progress("checking") as advance:
        findings += preflight(connection, subject, on_check=advance)
    _tell(out, connection, subject, findings)


def check_upload(connection: Connection, haul: Haul) -> None:
    """What an upload can find out in one request more: credentials that hold, a bucket that fits. Raises as
    `refuse_on_errors`."""
    from cxr.cloud.preflight import Purpose, Subject, preflight, refuse_on_errors

    refuse_on_errors(preflight(connection, Subject(Purpose.UPLOAD), quick=True, haul=haul))


def check_launch(out: Out, plan: LaunchPlan, manifest: Manifest, *, manifest_path: Path = DEFAULT_MANIFEST) -> None:
    """What a launch does not find out by itself before it pays: project, APIs, bucket, agents, quota. Warnings are
    told; raises as `refuse_on_errors`, with hints that name `manifest_path`."""
    from cxr.cloud.preflight import Level, preflight, refuse_on_errors, subject_of

    subject = subject_of(plan, manifest)
    if subject is None:
        return
    subject = replace(subject, manifest_path=str(manifest_path))
    with out.progress("checking") as advance:
        findings = preflight(plan.connection, subject, quick=True, on_check=advance)
    for finding in findings:
        if finding.level is Level.WARNING:
            out.warn(f"{finding.check}: {finding.words}" + (f"; {finding.next}" if finding.next else ""))
    refuse_on_errors(findings)


def _subject(ctx: typer.Context, kind: str | None) -> Subject:
    from cxr.cloud.preflight import Purpose, Subject
    from cxr.cloud.provider import AutoMLWishes, HardwareWishes

    given = ctx.params
    automl = AutoMLWishes(*(given[name] for name in ("model_type", "budget_node_hours", "budget_hours")))
    names = ("machine", "gpus", "accelerator", "replicas", "spot", "disk_gb", "engine")
    hardware = HardwareWishes(**{name: given[name] for name in names})
    subject = Subject(Purpose(kind) if kind else Purpose.ANY, automl=automl, hardware=hardware)
    if subject.purpose is not Purpose.TUNE:
        return replace(subject, timeout_hours=given["timeout_hours"])
    if given_flags(ctx) & {"replicas", "timeout_hours"}:
        raise UsageError(
            "a trial runs on one machine and has a timeout of its own",
            hint="--parallel says how many trials run at once, --trial-timeout-hours how long each",
        )
    hours = given["trial_timeout_hours"]
    return replace(subject, trials=given["trials"], parallel=given["parallel"], timeout_hours=hours)


def _tell(out: Out, connection: Connection, subject: Subject, findings: Sequence[Finding]) -> None:
    from cxr.cloud.preflight import Level, refuse_on_errors
    from cxr.cloud.preflight.findings import counted

    title = f"check for {subject.purpose} on {connection.place}, {connection.provider.scope(connection)}"
    wanting = {Level.ERROR, Level.WARNING}
    show_findings(
        out, title, [Row(one.level, one.check, one.words, one.next if one.level in wanting else "") for one in findings]
    )
    errors, warnings = counted(findings, Level.ERROR), counted(findings, Level.WARNING)
    out.result(
        "cloud.check",
        {
            "where": connection.identity(),
            "for": subject.purpose,
            "findings": [asdict(one) for one in findings],
            "errors": errors,
            "warnings": warnings,
            "ok": not errors,
        },
    )
    refuse_on_errors(findings)
    out.say("nothing stands in the way" + (f"; {warnings} warnings" if warnings else ""))
