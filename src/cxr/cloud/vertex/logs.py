"""A job's log lines, from Cloud Logging."""

from __future__ import annotations

from collections.abc import Iterator

from cxr.cloud.connection import Connection
from cxr.cloud.journal import Job
from cxr.cloud.plans import JobKind
from cxr.cloud.vertex.jobs import unanswered
from cxr.errors import UsageError, missing_package
from cxr.storage.google_errors import google_errors

#: Without a time in the filter the client adds one itself: the last 24 hours.
LOGS_SINCE = "2020-01-01T00:00:00Z"


def log_lines(connection: Connection, job: Job) -> Iterator[tuple[str, str]]:
    """(timestamp, text) of every line the job has written so far, oldest first.

    Raises UsageError for an AutoML job (the service publishes no logs of those) and for one without a resource name.
    """
    if not job.resource:
        raise unanswered(job)
    if job.kind is JobKind.AUTOML:
        raise UsageError("the service publishes no logs of AutoML jobs", hint=f"cxr cloud status {job.id}")
    try:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import logging
    except ImportError as error:
        raise missing_package("google-cloud-logging", "gcp") from error
    with google_errors(f"read the log of {job.id}"):
        client = logging.Client(
            project=connection.project,
            credentials=AnonymousCredentials() if connection.endpoint else None,
            client_options={"api_endpoint": connection.endpoint} if connection.endpoint else None,
            _use_grpc=False,
        )
        number = job.resource.rsplit("/", 1)[-1]
        wanted = f'resource.type="ml_job" AND resource.labels.job_id="{number}" AND timestamp>="{LOGS_SINCE}"'
        for entry in client.list_entries(filter_=wanted, order_by="timestamp asc", page_size=1000):
            payload = entry.payload
            text = payload.get("message", str(payload)) if isinstance(payload, dict) else str(payload)
            yield (entry.timestamp.isoformat(timespec="milliseconds") if entry.timestamp else "", text)
