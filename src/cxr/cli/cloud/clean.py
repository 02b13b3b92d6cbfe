"""`cxr cloud clean`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cxr.cli.cloud.common import CloudFlags, connection_of, open_connection, open_journal, prices_at
from cxr.cli.completions import job_ids
from cxr.cli.options import Bucket, Json, On, Prefix, Project, Quiet, Region, StateDir, Yes
from cxr.cli.out import Out
from cxr.errors import Fault, NotFound, UsageError
from cxr.settings import Settings, Target

if TYPE_CHECKING:
    from cxr.cloud.cleaning.leftovers import CleanPlan, ImageChoice, Leftover, Scope
    from cxr.cloud.cleaning.removing import Removal
    from cxr.cloud.connection import Connection
    from cxr.cloud.jobs.journal import Job, Journal

OfManifest = Annotated[
    Path | None, typer.Option("--manifest", "-m", metavar="FILE", help="All that this manifest's runs left.")
]
Everything = Annotated[
    bool, typer.Option("--all", help="All that any run left in this project, region, bucket and prefix.")
]
KeepModels = Annotated[bool, typer.Option("--keep-models", help="Leave the models, on the service and below jobs/.")]
Images = Annotated[bool, typer.Option("--images", help="Delete the uploaded images, too (with --all or --manifest).")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="List it and stop.")]
PlanTo = Annotated[Path | None, typer.Option("--plan", metavar="FILE", help="Save the list to FILE and stop.")]
Apply = Annotated[Path | None, typer.Option("--apply", metavar="FILE", help="Delete exactly a saved list.")]
#: Failures that are told one by one.
MOST_FAILURES = 20


def clean(
    job: Annotated[
        list[str] | None, typer.Argument(help="Jobs whose leftovers go; see cxr cloud jobs.", autocompletion=job_ids)
    ] = None,
    manifest: OfManifest = None,
    everything: Everything = False,
    keep_models: KeepModels = False,
    images: Images = False,
    dry_run: DryRun = False,
    plan_file: PlanTo = None,
    apply: Apply = None,
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
    """List what runs left on the service and in the bucket, with its monthly price, and delete it when confirmed.

    Only what carries cxr's labels or lies in its folders; never a running job. With --all also a machine that serves a
    page now (its row says so). Run again, it goes on.

    Example: cxr cloud clean --all --dry-run
    """
    from cxr.cloud.cleaning.plan_file import check_replaceable, write_clean_plan

    out, flags = Out(json=json, quiet=quiet), CloudFlags(on, project, region, bucket, prefix, state_dir)
    settings = flags.settings()
    journal = open_journal(settings)
    if plan_file is not None:
        check_replaceable(plan_file)
    if apply is not None:
        if job or manifest or everything or images or keep_models or plan_file:
            raise UsageError("--apply FILE stands alone: the saved list says what is deleted", hint="add only --yes")
        connection, plan = _saved(apply, flags, out)
    else:
        if not all(job or []):
            raise UsageError("an empty name is no job's", hint="see the names: cxr cloud jobs")
        named = [journal.find(name) for name in job or []]
        _check_choice(named, manifest, everything, images)
        connection = _place(named, settings, out)
        scope = _scope(named, manifest, everything, images)
        plan = _find(connection, journal, scope, settings, out, keep_models)
        _explain_attached(named, plan, connection, flags, out)
    _show(plan, connection, out)
    if plan_file is not None:
        write_clean_plan(plan, plan_file)
        out.say("saved; nothing was deleted")
        out.hint(CloudFlags(state_dir=state_dir).command(f"cxr cloud clean --apply {plan_file}"))
    if plan.doomed and not dry_run and plan_file is None:
        out.confirm(f"Delete these {len(plan.doomed)} things for good?", yes=yes)
        _delete(connection, journal, plan, out)
    else:
        out.result("cloud.clean", _payload(plan, connection))


def _check_choice(named: list[Job], manifest: Path | None, everything: bool, images: bool) -> None:
    chosen = sum([bool(named), manifest is not None, everything])
    if chosen != 1:
        raise UsageError(
            "say what to clean up" if not chosen else "jobs, --manifest and --all exclude each other",
            hint="cxr cloud clean JOB, cxr cloud clean --manifest manifest.csv, or cxr cloud clean --all --dry-run",
        )
    if images and named:
        raise UsageError("images belong to a manifest, not to a job", hint="--images goes with --manifest or --all")


def _place(named: list[Job], settings: Settings, out: Out) -> Connection:
    if not named:
        return open_connection(settings, out)
    places = {(job.on, job.project, job.region, job.bucket, job.prefix) for job in named}
    if len(places) > 1:
        raise UsageError("these jobs ran in different places", hint="clean them up one after the other")
    return connection_of(named[0], settings, out)


def _scope(named: list[Job], manifest: Path | None, everything: bool, images: bool) -> tuple[Scope, ImageChoice | None]:
    from cxr.cloud.cleaning.leftovers import ImageChoice, Scope
    from cxr.cloud.plans.launch import manifest_label

    if manifest is None:
        choice = ImageChoice() if images else None
        return Scope(everything=everything, runs=frozenset(job.id for job in named)), choice
    from cxr.manifests.manifest_file import read_manifest

    read = read_manifest(manifest)
    choice = ImageChoice(frozenset(read.frame["path"])) if images else None
    return Scope(manifest=manifest_label(read.hash)), choice


def _find(
    connection: Connection,
    journal: Journal,
    scope: tuple[Scope, ImageChoice | None],
    settings: Settings,
    out: Out,
    keep_models: bool,
) -> CleanPlan:
    from cxr.cloud.cleaning.finding import find_leftovers

    prices = prices_at(connection.provider, settings)
    what, images = scope
    return find_leftovers(connection, journal, what, prices, keep_models=keep_models, images=images, on_step=out.say)


def _saved(path: Path, flags: CloudFlags, out: Out) -> tuple[Connection, CleanPlan]:
    from cxr.cloud.cleaning.plan_file import read_clean_plan

    plan = read_clean_plan(path)
    where = plan.where
    try:
        settings = replace(
            flags.settings(),
            on=Target(where["on"]),
            project=where["project"],
            region=where["region"],
            bucket=where["bucket"],
            prefix=where["prefix"],
        )
    except (KeyError, ValueError) as error:
        raise UsageError(f"{path} does not say where: {error}", hint="make the plan anew") from error
    for name, value in where.items():
        given = getattr(flags, name)
        if given is not None and given != value:
            raise UsageError(f"{path} is for {name} {value}, not {given}", hint=f"leave --{name} out")
    return open_connection(settings, out), plan


def _show(plan: CleanPlan, connection: Connection, out: Out) -> None:
    from cxr.cloud.cleaning.leftovers import total_usd

    doomed = plan.doomed
    if not doomed:
        out.say("nothing is left that could be deleted")
    where = f"{connection.place}, {connection.provider.scope(connection)}, {connection.base_url}"
    out.table(("clean up", plan.scope), [("in", where), ("to be deleted", len(doomed)), ("stays", len(plan.kept))])
    if doomed:
        rows = [(str(one.sort), one.short_name, one.run or "-", one.detail, _size(one), _month(one)) for one in doomed]
        size = sum(one.size for one in doomed)
        unknown = "" if all(one.usd_per_month is not None for one in doomed) else " and what has no price in the table"
        rows.append(("all", "", "", "", f"{size / 1e6:,.2f}", _usd(total_usd(doomed))))
        out.text("")
        out.table(("delete", "name", "run", "what", "MB", "USD a month"), rows)
        if not connection.billed:
            out.say(f"nothing is billed here: the USD are what {connection.provider.name} asks for the same")
        out.say(f"{_usd(total_usd(doomed))} USD a month{unknown}")
    if plan.kept:
        out.text("")
        out.table(("stays", "name", "because"), [(one.sort, one.short_name, one.kept) for one in plan.kept])
    for note in plan.notes:
        out.say(f"note: {note}")


def _delete(connection: Connection, journal: Journal, plan: CleanPlan, out: Out) -> None:
    from cxr.cloud.cleaning.removing import remove_all

    with out.progress("deleting") as advance:
        removals = remove_all(connection, journal, plan, on_progress=advance)
    failed = [removal for removal in removals if removal.failures]
    gone = len(removals) - len(failed)
    out.say(f"deleted {gone} of {len(removals)}")
    out.result("cloud.clean", _payload(plan, connection) | {"removed": [_outcome(one) for one in removals]})
    for removal in failed:
        name = f"{removal.leftover.sort} {removal.leftover.short_name}"
        for failure in removal.failures[:MOST_FAILURES]:
            out.warn(f"not deleted: {name}: {failure}")
        if len(removal.failures) > MOST_FAILURES:
            out.warn(f"not deleted: {name}: {len(removal.failures) - MOST_FAILURES:,} more")
    if failed:
        raise Fault(
            f"{len(failed)} of {len(removals)} could not be deleted, the first is "
            f"{failed[0].leftover.sort} {failed[0].leftover.short_name}: {failed[0].failures[0]}",
            hint="run the same command again: it goes on with what is left",
        )


def _explain_attached(named: list[Job], plan: CleanPlan, connection: Connection, flags: CloudFlags, out: Out) -> None:
    found = {one.run for one in plan.leftovers}
    for job in named:
        if not job.attached or job.id in found:
            continue
        run = _run_on_service(connection, job)
        if run is None:
            out.warn(f"{job.id} is not on the service any more")
        elif run:
            command = flags.follow_up(f"cxr cloud clean {run}")
            out.warn(f"{job.id} carries the label of {run}, and goes with that: {command}")
        else:
            out.warn(f"{job.id} carries no label of cxr: what it left is somebody else's and is not touched")


def _run_on_service(connection: Connection, job: Job) -> str | None:
    """The run that the job's own label names, "" without one; None when the service does not know the job."""
    from cxr.cloud.jobs.seen import RUN_LABEL

    try:
        return connection.provider.look(connection, job.kind, job.resource).labels.get(RUN_LABEL, "")
    except NotFound:
        return None


def _payload(plan: CleanPlan, connection: Connection) -> dict[str, Any]:
    from cxr.cloud.cleaning.leftovers import total_usd
    from cxr.cloud.cleaning.plan_file import summary_of

    return {
        "where": plan.where,
        "scope": plan.scope,
        "billed": connection.billed,
        "delete": [summary_of(one) for one in plan.doomed],
        "kept": [summary_of(one) for one in plan.kept],
        "bytes": sum(one.size for one in plan.doomed),
        "usd_per_month": round(total_usd(plan.doomed), 6),
        "notes": list(plan.notes),
    }


def _outcome(removal: Removal) -> dict[str, Any]:
    one = removal.leftover
    said = {"sort": str(one.sort), "name": one.name, "failures": list(removal.failures)}
    return {**said, "gone_before": removal.gone_before}


def _size(one: Leftover) -> str:
    return f"{one.size / 1e6:,.2f}" if one.size else "-"


def _month(one: Leftover) -> str:
    return "unknown" if one.usd_per_month is None else _usd(one.usd_per_month)


def _usd(amount: float) -> str:
    return "0" if not amount else "<0.01" if amount < 0.005 else f"{amount:,.2f}"
