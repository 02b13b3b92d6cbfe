"""`cxr cloud jobs | status | cancel`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.cli.cloud.common import CloudFlags, connection_of, open_journal
from cxr.cli.cloud.job_views import as_json, explained, rows_of, settings_of
from cxr.cli.completions import job_ids
from cxr.cli.options import Json, Quiet, StateDir, Yes
from cxr.cli.out import Out
from cxr.errors import CxrError

if TYPE_CHECKING:
    from cxr.cloud.jobs.journal import Job, Journal
    from cxr.settings import Settings

JobId = Annotated[str, typer.Argument(help="A job's id, or its beginning; see cxr cloud jobs.", autocompletion=job_ids)]


def jobs(
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask the service how the unfinished ones are.")] = False,
    state_dir: StateDir = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the jobs of this folder's journal, as last seen, with what they cost by the price table.

    Example: cxr cloud jobs --refresh
    """
    out = Out(json=json, quiet=quiet)
    settings = settings_of(state_dir)
    journal = open_journal(settings)
    found = journal.jobs()
    if refresh:
        found = [_refreshed(job, journal, settings, out) for job in found]
    if found:
        out.table(
            ("job", "kind", "on", "state", "launched", "ended", "USD so far", "USD at most"),
            [_row(job) for job in found],
        )
        if any(not job.on.billed for job in found):
            out.say("jobs on this machine cost nothing: their USD are what the cloud asks for the same")
    else:
        out.say("no jobs were launched from this folder")
        out.hint(CloudFlags(state_dir=state_dir).command("cxr cloud train automl"))
    out.result("cloud.jobs", {"jobs": [as_json(job) for job in found]})


def status(job: JobId, state_dir: StateDir = None, json: Json = False, quiet: Quiet = False) -> None:
    """Ask the service how a job is.

    Example: cxr cloud status automl-1a2b3c
    """
    from cxr.cloud.jobs.asking import note_epoch, refresh

    out = Out(json=json, quiet=quiet)
    settings = settings_of(state_dir)
    journal = open_journal(settings)
    found = journal.find(job)
    if not found.finished:
        place = connection_of(found, settings, out)
        found = refresh(place, journal, found)
        if found.kind == "custom" and found.state == "RUNNING":
            try:
                found = note_epoch(place, journal, found)
            except CxrError as error:
                out.say(f"its log cannot be read: {error.message}")
    out.table(("job", found.id), rows_of(found))
    if found.finished and not found.succeeded:
        explained(found, settings, out)
    out.result("cloud.status", {"job": as_json(found)})


def cancel(job: JobId, state_dir: StateDir = None, yes: Yes = False, json: Json = False, quiet: Quiet = False) -> None:
    """End a running job. What it has used until then is billed by the service.

    Example: cxr cloud cancel custom-1a2b3c --yes
    """
    from cxr.cloud.jobs.asking import cancel_job, refresh, unanswered

    out = Out(json=json, quiet=quiet)
    settings = settings_of(state_dir)
    journal = open_journal(settings)
    found = journal.find(job)
    if not found.finished and found.resource:
        found = refresh(connection_of(found, settings, out), journal, found)
    if found.finished:
        out.say(f"{found.id} has ended already: {found.state}")
    elif not found.resource:
        raise unanswered(found)
    else:
        connection = connection_of(found, settings, out)
        out.confirm(f"Cancel {found.id}?", yes=yes)
        cancel_job(connection, found)
        found = refresh(connection, journal, found)
        out.say(f"{found.id}: {found.state}")
    out.result("cloud.cancel", {"job": as_json(found)})


def _refreshed(job: Job, journal: Journal, settings: Settings, out: Out) -> Job:
    from cxr.cloud.jobs.asking import refresh

    if job.finished or not job.resource:
        return job
    try:
        return refresh(connection_of(job, settings, out), journal, job)
    except CxrError as error:
        out.warn(f"{job.id} is shown as last seen: {error.message}")
        return job


def _row(job: Job) -> tuple[object, ...]:
    from cxr.cloud.jobs.progress import outlook

    seen = outlook(job, datetime.now(UTC))
    so_far = f"{seen.cost_usd:,.2f}" if seen.cost_usd is not None else "-"
    state = f"{job.state} (cleaned up)" if job.cleaned else job.state
    most = f"{job.worst_case_usd:,.2f}" if job.worst_case_usd else "-"
    return (job.id, job.kind, job.on, state, job.created, job.ended or "-", so_far, most)
