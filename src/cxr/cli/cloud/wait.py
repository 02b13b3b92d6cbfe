"""`cxr cloud wait`."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.cli.cloud.common import CloudFlags, connection_of, open_journal
from cxr.cli.cloud.job_views import as_json, explained, failure_text
from cxr.cli.completions import job_ids
from cxr.cli.job_line import JobLine, job_line
from cxr.cli.options import Json, Quiet, StateDir
from cxr.cli.out import Out
from cxr.errors import CxrError, Interrupted, JobFailed, NotAllowed, Unreachable
from cxr.settings import Settings

if TYPE_CHECKING:
    from cxr.cloud.connection import Connection
    from cxr.cloud.jobs.journal import Job, Journal

#: The longest pause between polls of a server on this machine.
LONGEST_LOCAL_PAUSE_S = 2.0
#: How often a custom job's log is asked for its epoch (Cloud Logging permits 60 reads a minute to a project).
EPOCH_EVERY_S = 30.0
#: How many lines of its log a failed job is shown with.
LAST_LINES = 10


def wait(
    job: Annotated[
        list[str] | None, typer.Argument(help="Job ids; all unfinished ones when left out.", autocompletion=job_ids)
    ] = None,
    timeout_minutes: Annotated[float | None, typer.Option("--timeout-minutes", help="Stop waiting after this.")] = None,
    state_dir: StateDir = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Wait until jobs are finished. Ctrl-C ends the waiting, never the jobs; wait again to go on.

    Example: cxr cloud wait automl-1a2b3c
    """
    out = Out(json=json, quiet=quiet)
    flags = CloudFlags(state_dir=state_dir)
    settings = flags.settings()
    journal = open_journal(settings)
    wanted = [journal.find(name) for name in job] if job else _unfinished(journal.jobs(), settings, out)
    timeout_s = timeout_minutes * 60 if timeout_minutes is not None else None
    if not wanted:
        out.say("no job is unfinished")
    ended = wait_for_all(wanted, settings, out, timeout_s=timeout_s)
    if ended:
        out.table(("job", "kind", "state", "ended"), [(one.id, one.kind, one.state, one.ended) for one in ended])
    out.result("cloud.wait", {"jobs": [as_json(one) for one in ended]})
    failed = [one for one in ended if not one.succeeded]
    for one in failed[1:]:
        explained(one, settings, out, lines=LAST_LINES)
    if failed:
        explanation = explained(failed[0], settings, out, lines=LAST_LINES, quiet_words=True)
        many = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise JobFailed(failure_text(failed[0], explanation) + many, hint=explanation.next_step)
    for one in ended:
        if one.kind in {"automl", "custom", "tune"}:
            out.hint(flags.follow_up(_way_home(one)))


def _way_home(job: Job) -> str:
    """The command that gets at the model of a job that has succeeded."""
    from cxr.cloud.provider import Feature
    from cxr.cloud.providers import provider_of

    if job.kind == "automl" and Feature.AUTOML_EXPORTS in provider_of(job.on).lacks:
        return f"cxr cloud evaluate {job.id} --predict batch --manifest manifest.csv"
    return f"cxr cloud export {job.id}"


def wait_for(job: Job, settings: Settings, out: Out) -> Job:
    """Wait for one job; as `wait_for_all`."""
    return wait_for_all([job], settings, out)[0]


def wait_for_all(jobs: Sequence[Job], settings: Settings, out: Out, *, timeout_s: float | None = None) -> list[Job]:
    """Poll jobs in turn until all are finished; what they have become, in the same order.

    Raises Interrupted on Ctrl-C or after `timeout_s` and NotAllowed when the service refuses (credentials that have
    run out), both with the command that goes on. The jobs go on anyway, and all that was seen is in the journal.
    """
    from cxr.cloud.jobs.progress import status_words

    waiting = [job for job in jobs if not job.finished]
    for job in jobs:
        if job.finished:
            out.say(f"{job.id}: {status_words(job, datetime.now(UTC))}")
    if not waiting:
        return list(jobs)
    again = _command(settings, "cxr cloud wait " + " ".join(shlex.quote(job.id) for job in waiting))
    try:
        return _poll(jobs, waiting, settings, out, timeout_s)
    except (KeyboardInterrupt, Interrupted) as left:
        names = ", ".join(job.id for job in waiting)
        why = (
            f" (not finished after {timeout_s:g} s)" if timeout_s is not None and isinstance(left, Interrupted) else ""
        )
        goes = "goes" if len(waiting) == 1 else "go"
        raise Interrupted(f"{names} {goes} on without this program{why}", hint=again) from None
    except CxrError as error:
        raise _with_way_on(error, again) from error


def _poll(
    jobs: Sequence[Job], waiting: Sequence[Job], settings: Settings, out: Out, timeout_s: float | None
) -> list[Job]:
    from cxr.cloud.jobs.journal import Journal
    from cxr.cloud.jobs.waiting import LONGEST_PAUSE_S, poll_all

    journal = Journal(settings.journal_path)
    places = {job.id: connection_of(job, settings, out) for job in waiting}
    look = _looker(journal, places, lambda job: connection_of(job, settings, out))
    longest = LONGEST_PAUSE_S if any(place.billed for place in places.values()) else LONGEST_LOCAL_PAUSE_S
    with job_line(out, waiting) as line:
        ended = poll_all(
            list(places),
            look,
            lambda now: now.finished,
            timeout_s=timeout_s,
            longest_pause_s=longest,
            on_look=lambda _, now: line.seen(now),
            on_trouble=lambda key, error: line.trouble(key, error.message),
            sleep=_patient(line),
        )
    return [ended.get(job.id, job) for job in jobs]


def _looker(
    journal: Journal, places: dict[str, Connection], connect: Callable[[Job], Connection]
) -> Callable[[str], Job]:
    from cxr.cloud.jobs.asking import note_epoch, refresh

    asked: dict[str, float] = {}

    def look(job_id: str) -> Job:
        known = journal.find(job_id)
        try:
            job = refresh(places[job_id], journal, known)
        except Unreachable:
            if not places[job_id].billed:
                places[job_id] = connect(known)  # a server of this machine may have died: it is started again
            raise
        due = time.monotonic() - asked.get(job_id, 0.0) >= EPOCH_EVERY_S
        if job.kind == "custom" and job.state == "RUNNING" and due:
            asked[job_id] = time.monotonic()
            try:
                job = note_epoch(places[job_id], journal, job)
            except CxrError:
                asked[job_id] = float("inf")  # no right to read logs, say: then without epochs
        return job

    return look


def _patient(line: JobLine) -> Callable[[float], None]:
    line.draw()
    return line.sleep


def _with_way_on(error: CxrError, again: str) -> CxrError:
    from cxr.storage.login_hints import LOGIN_HINTS

    if isinstance(error, NotAllowed) and error.hint in LOGIN_HINTS:
        error.hint = f"log in again: {error.hint}; then go on: {again}"
    elif error.hint is None or isinstance(error, NotAllowed):
        error.hint = f"{error.hint}; then go on: {again}" if error.hint else again
    return error


def _command(settings: Settings, command: str) -> str:
    usual = settings.state_dir == Settings().state_dir
    return CloudFlags(state_dir=None if usual else settings.state_dir).command(command)


def _unfinished(jobs: Sequence[Job], settings: Settings, out: Out) -> list[Job]:
    from cxr.cloud.jobs.asking import finding_command

    # A launch that died before the service answered has no name to ask by; it must not keep the others waiting.
    for one in jobs:
        if not one.finished and not one.resource:
            out.warn(
                f"{one.id} never got an answer: launch it again with the same command, or look for it on the service"
            )
            out.hint(finding_command(one, settings.state_dir))
    return [one for one in jobs if not one.finished and one.resource]
