"""`cxr cloud jobs | status | wait | logs | cancel`."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.cli.cloud.common import CloudFlags, connection_of, open_journal
from cxr.cli.options import Json, Quiet, StateDir, Yes
from cxr.cli.out import Out
from cxr.errors import Interrupted, JobFailed
from cxr.settings import Settings

if TYPE_CHECKING:
    from cxr.cloud.journal import Job

JobId = Annotated[str, typer.Argument(help="A job's id, or its beginning; see cxr cloud jobs.")]


def jobs(state_dir: StateDir = None, json: Json = False, quiet: Quiet = False) -> None:
    """List the jobs launched from this folder, as last seen.

    Example: cxr cloud jobs
    """
    out = Out(json=json, quiet=quiet)
    found = open_journal(_settings(state_dir)).jobs()
    rows = [(job.id, job.kind, job.on, job.state, job.created, job.ended or "-") for job in found]
    if rows:
        out.table(("job", "kind", "on", "state", "launched", "ended"), rows)
    else:
        out.say("no jobs were launched from this folder")
        out.hint("cxr cloud train automl")
    out.result("cloud.jobs", {"jobs": [asdict(job) for job in found]})


def status(job: JobId, state_dir: StateDir = None, json: Json = False, quiet: Quiet = False) -> None:
    """Ask the service how a job is.

    Example: cxr cloud status automl-1a2b3c
    """
    from cxr.cloud.vertex.jobs import refresh

    out = Out(json=json, quiet=quiet)
    settings = _settings(state_dir)
    journal = open_journal(settings)
    found = journal.find(job)
    if not found.finished:
        found = refresh(connection_of(found, settings, out), journal, found)
    out.table(("job", found.id), [(key, value) for key, value in asdict(found).items() if key != "id" and value != ""])
    out.result("cloud.status", {"job": asdict(found)})


def wait(
    job: Annotated[list[str] | None, typer.Argument(help="Job ids; all unfinished ones when left out.")] = None,
    timeout_minutes: Annotated[float | None, typer.Option("--timeout-minutes", help="Stop waiting after this.")] = None,
    state_dir: StateDir = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Wait until jobs are finished. Ctrl-C ends the waiting, never the job; wait again to go on.

    Example: cxr cloud wait automl-1a2b3c
    """
    out = Out(json=json, quiet=quiet)
    settings = _settings(state_dir)
    journal = open_journal(settings)
    wanted = [journal.find(name) for name in job] if job else _unfinished(journal.jobs(), out)
    deadline = time.monotonic() + timeout_minutes * 60 if timeout_minutes is not None else None
    ended = [wait_for(one, settings, out, deadline=deadline) for one in wanted]
    out.table(("job", "state", "ended"), [(one.id, one.state, one.ended) for one in ended])
    out.result("cloud.wait", {"jobs": [asdict(one) for one in ended]})
    for one in ended:
        if not one.succeeded:
            raise JobFailed(f"{one.id} is {one.state}: {one.error or 'the service gave no reason'}", hint=_why(one))
    for one in ended:
        out.hint(f"cxr cloud export {one.id}")


def wait_for(job: Job, settings: Settings, out: Out, *, deadline: float | None = None) -> Job:
    """Poll one job until it is finished, telling changes of state. Raises Interrupted on Ctrl-C or past `deadline` (of
    time.monotonic())."""
    from cxr.cloud.vertex.jobs import refresh
    from cxr.cloud.waiting import poll

    if job.finished:
        return job
    journal = open_journal(settings)
    connection = connection_of(job, settings, out)
    seen = {"said": ""}

    def tell(text: str) -> None:
        if text != seen["said"]:
            seen["said"] = text
            out.say(f"{job.id}: {text}")

    try:
        return poll(
            lambda: refresh(connection, journal, journal.find(job.id)),
            lambda now: now.finished,
            timeout_s=max(0.0, deadline - time.monotonic()) if deadline is not None else None,
            longest_pause_s=15.0 if connection.billed else 2.0,
            on_look=lambda now: tell(now.state),
            on_trouble=lambda error: tell(f"the service does not answer, asking again ({error.message[:80]})"),
        )
    except (KeyboardInterrupt, Interrupted):
        raise Interrupted(f"{job.id} goes on without this program", hint=f"cxr cloud wait {job.id}") from None


def logs(job: JobId, state_dir: StateDir = None, json: Json = False, quiet: Quiet = False) -> None:
    """Print what a custom job has written so far.

    Example: cxr cloud logs custom-1a2b3c
    """
    from cxr.cloud.vertex.logs import log_lines

    out = Out(json=json, quiet=quiet)
    settings = _settings(state_dir)
    found = open_journal(settings).find(job)
    lines = []
    for when, text in log_lines(connection_of(found, settings, out), found):
        out.text(f"{when}  {text}")
        lines.append({"at": when, "text": text})
    if not lines:
        out.say("nothing has been written yet")
    out.result("cloud.logs", {"job": found.id, "lines": lines})


def cancel(job: JobId, state_dir: StateDir = None, yes: Yes = False, json: Json = False, quiet: Quiet = False) -> None:
    """End a running job. What it has used until then is billed by the service.

    Example: cxr cloud cancel custom-1a2b3c --yes
    """
    from cxr.cloud.vertex.jobs import cancel_job, refresh

    out = Out(json=json, quiet=quiet)
    settings = _settings(state_dir)
    journal = open_journal(settings)
    found = journal.find(job)
    if found.finished:
        out.say(f"{found.id} has ended already: {found.state}")
    else:
        connection = connection_of(found, settings, out)
        out.confirm(f"Cancel {found.id}?", yes=yes)
        cancel_job(connection, found)
        found = refresh(connection, journal, found)
        out.say(f"{found.id}: {found.state}")
    out.result("cloud.cancel", {"job": asdict(found)})


def _settings(state_dir: StateDir) -> Settings:
    return CloudFlags(state_dir=state_dir).settings()


def _unfinished(jobs: list[Job], out: Out) -> list[Job]:
    # A launch that died before the service answered has no name to ask by; it must not keep the others waiting.
    for one in jobs:
        if not one.finished and not one.resource:
            out.warn(f"{one.id} never got an answer; run its cxr cloud train command again")
    return [one for one in jobs if not one.finished and one.resource]


def _why(job: Job) -> str:
    return f"cxr cloud logs {job.id}" if job.kind == "custom" else f"cxr cloud status {job.id}"
