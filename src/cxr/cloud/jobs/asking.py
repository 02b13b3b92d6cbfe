"""What the service says of a job now, whatever its kind and whichever service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cxr.cloud.connection import Connection
from cxr.cloud.jobs.journal import Job, Journal
from cxr.cloud.jobs.seen import Seen
from cxr.cloud.place_flags import place_flags
from cxr.cloud.plans.launch import JobKind
from cxr.errors import InputError, NotFound, UsageError


def refresh(connection: Connection, journal: Journal, job: Job) -> Job:
    """Ask the service for the job's state and write what has changed to the journal. A job that the service no longer
    knows (deleted by hand, say) is GONE.

    Raises UsageError for a job whose launch never got an answer (launch it again: the plan finds or makes it),
    Unreachable when the service cannot answer now (a quota of requests included).
    """
    if job.finished:
        return job
    if not job.resource:
        raise unanswered(job)
    try:
        seen = connection.provider.look(connection, job.kind, job.resource)
    except NotFound:
        return journal.update(job, state="GONE", error="the service no longer knows this job")
    return journal.update(job, **changes_of(job, seen))


def changes_of(job: Job, seen: Seen) -> dict[str, Any]:
    """What an answer changes in the journal. Nothing that is known is forgotten."""
    progress = {**job.progress, **seen.progress}
    if seen.error_code:
        progress["error_code"] = seen.error_code
    changes: dict[str, Any] = {"state": seen.state, "error": seen.error, "progress": progress}
    for name in ("started", "ended", "model"):
        if getattr(seen, name):
            changes[name] = getattr(seen, name)
    if seen.output_url and not job.output_url:
        changes["output_url"] = seen.output_url
    return changes


def unanswered(job: Job) -> UsageError:
    """The error for a job that is in the journal as intended, without a resource name: with the command that finds it
    on the service, where it was to run."""
    return UsageError(
        f"{job.id} was about to be launched when the program ended; the command that launched it, given again, "
        "finds it or launches it",
        hint=finding_command(job),
    )


def finding_command(job: Job, state_dir: Path | None = None) -> str:
    """The command that looks for a job without a resource name on the service, and launches nothing."""
    if job.kind is JobKind.IMPORT:  # an operation carries no label: it is found by its dataset
        return f"cxr cloud dataset{place_flags(job, state_dir)}"
    return f"cxr cloud attach --all{place_flags(job, state_dir)}"


def cancel_job(connection: Connection, job: Job) -> None:
    """Ask the service to end a job; it answers before the job has ended. One that has just ended by itself is no
    error. Raises UsageError for one without a name."""
    if not job.resource:
        raise unanswered(job)
    provider = connection.provider
    try:
        provider.cancel(connection, job.kind, job.resource)
    except InputError:
        if not provider.look(connection, job.kind, job.resource).ended:
            raise


def note_epoch(connection: Connection, journal: Journal, job: Job) -> Job:
    """The job with the epoch that its log tells of, in the journal too; as it was when the log tells none."""
    return journal.update(job, progress={**job.progress, **connection.provider.last_epoch(connection, job)})
