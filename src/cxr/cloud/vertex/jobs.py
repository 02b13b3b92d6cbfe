"""What the service says of a job now."""

from __future__ import annotations

from typing import Any

from cxr.cloud.connection import Connection
from cxr.cloud.journal import Job, Journal
from cxr.cloud.plans import JobKind
from cxr.cloud.vertex.clients import REQUEST_TIMEOUT_S, job_client, pipeline_client
from cxr.errors import NotFound, UsageError
from cxr.storage.google_errors import google_errors


def refresh(connection: Connection, journal: Journal, job: Job) -> Job:
    """Ask the service for the job's state and write what has changed to the journal. A job that the service no longer
    knows (deleted by hand, say) is GONE.

    Raises UsageError for a job whose launch never got an answer (launch it again: the plan finds or makes it).
    """
    if job.finished:
        return job
    if not job.resource:
        raise unanswered(job)
    try:
        return journal.update(job, **_ask(connection, job))
    except NotFound:
        return journal.update(job, state="GONE", error="the service no longer knows this job")


def unanswered(job: Job) -> UsageError:
    """The error for a job that is in the journal as intended, without a resource name."""
    return UsageError(
        f"{job.id} was about to be launched when the program ended",
        hint="run the same cxr cloud train command again: it finds the job or launches it",
    )


def _ask(connection: Connection, job: Job) -> dict[str, str]:
    with google_errors(f"ask for {job.id}"):
        if job.kind is JobKind.AUTOML:
            pipeline = pipeline_client(connection).get_training_pipeline(name=job.resource, timeout=REQUEST_TIMEOUT_S)
            return {**_common(pipeline, "PIPELINE_STATE_"), "model": str(pipeline.model_to_upload.name)}
        if job.kind is JobKind.BATCH:
            batch = job_client(connection).get_batch_prediction_job(name=job.resource, timeout=REQUEST_TIMEOUT_S)
            return _common(batch, "JOB_STATE_")
        custom = job_client(connection).get_custom_job(name=job.resource, timeout=REQUEST_TIMEOUT_S)
        return _common(custom, "JOB_STATE_")


def _common(resource: Any, prefix: str) -> dict[str, str]:
    return {
        "state": resource.state.name.removeprefix(prefix),
        "error": " ".join(resource.error.message.split()) if resource.error else "",
        "ended": resource.end_time.isoformat(timespec="seconds") if resource.end_time else "",
    }


def cancel_job(connection: Connection, job: Job) -> None:
    """Ask the service to end a job; it answers before the job has ended. Raises UsageError for one without a name."""
    if not job.resource:
        raise unanswered(job)
    with google_errors(f"cancel {job.id}"):
        if job.kind is JobKind.AUTOML:
            pipeline_client(connection).cancel_training_pipeline(name=job.resource, timeout=REQUEST_TIMEOUT_S)
        elif job.kind is JobKind.BATCH:
            job_client(connection).cancel_batch_prediction_job(name=job.resource, timeout=REQUEST_TIMEOUT_S)
        else:
            job_client(connection).cancel_custom_job(name=job.resource, timeout=REQUEST_TIMEOUT_S)
