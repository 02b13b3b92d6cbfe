"""A job's log lines, from Cloud Logging."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cxr.cloud.connection import Connection
from cxr.cloud.jobs.asking import unanswered
from cxr.cloud.jobs.journal import Job
from cxr.cloud.jobs.seen import LOGS_SINCE, LogLine
from cxr.cloud.plans.launch import JobKind
from cxr.cloud.trainer.epochs import epoch_in
from cxr.cloud.vertex.clients import REQUEST_TIMEOUT_S, job_client
from cxr.errors import UsageError, missing_package
from cxr.storage.google.credentials import local_credentials
from cxr.storage.google.errors import polling_errors

#: Where the service says which trial of a tuning job wrote an entry.
TRIAL_LABEL = "ml.googleapis.com/trial_id"
_PAGE = 1000


def log_lines(connection: Connection, job: Job, *, since: str = LOGS_SINCE, trial: str = "") -> Iterator[LogLine]:
    """Every line that the job has written so far (of one trial), oldest first, from the time `since` on.

    Raises UsageError for a kind of job that the service publishes no logs of, for one without a resource name and for
    a trial of something else than a tuning job.
    """
    check_has_logs(job)
    if trial and job.kind is not JobKind.TUNE:
        raise UsageError(f"{job.id} has no trials: only tuning jobs do", hint=f"cxr cloud logs {job.id}")
    trials = _trials_by_job(connection, job) if job.kind is JobKind.TUNE else {}
    for entry in _entries(connection, job, trials, f'timestamp>="{since}"', "timestamp asc"):
        line = _line(entry, trials)
        if not trial or line.trial == trial:
            yield line


def last_lines(connection: Connection, job: Job, count: int) -> list[LogLine]:
    """The last `count` lines, oldest first."""
    check_has_logs(job)
    trials = _trials_by_job(connection, job) if job.kind is JobKind.TUNE else {}
    newest: list[LogLine] = []
    since = f'timestamp>="{LOGS_SINCE}"'
    for entry in _entries(connection, job, trials, since, "timestamp desc", page=max(1, count)):
        newest.append(_line(entry, trials))
        if len(newest) == count:
            break
    return newest[::-1]


def last_epoch(connection: Connection, job: Job) -> dict[str, Any]:
    """`epoch`, `epochs` and `measured_at` by the newest line that tells them, or nothing: one request, one entry."""
    about = f'timestamp>="{LOGS_SINCE}" AND jsonPayload.message:"epoch "'
    for entry in _entries(connection, job, {}, about, "timestamp desc", page=1):
        return epoch_in(_line(entry, {}))
    return {}


def check_has_logs(job: Job) -> None:
    """Raises UsageError, saying where to look instead, for a job whose logs nobody can read."""
    if not job.resource:
        raise unanswered(job)
    nothing = {
        JobKind.AUTOML: f"cxr cloud status {job.id}; the training's page: {console_url(job)}",
        JobKind.BATCH: f"cxr cloud status {job.id}; errors_*.jsonl beside the predictions at {job.output_url}",
        JobKind.IMPORT: f"cxr cloud status {job.id}: what could not be imported is there",
    }
    if job.kind in nothing:
        what = {"automl": "AutoML jobs", "batch": "batch predictions", "import": "imports"}[job.kind]
        raise UsageError(f"the service publishes no logs of {what}", hint=nothing[job.kind])


def console_url(job: Job) -> str:
    """The job's page in Google's console."""
    page = {JobKind.AUTOML: "training", JobKind.CUSTOM: "training", JobKind.TUNE: "hyperparameter-tuning-jobs"}
    number = job.resource.rsplit("/", 1)[-1]
    place = f"locations/{job.region}/{page.get(job.kind, 'batch-predictions')}/{number}"
    return f"https://console.cloud.google.com/vertex-ai/{place}?project={job.project}"


def _entries(
    connection: Connection, job: Job, trials: dict[str, str], also: str, order: str, *, page: int = _PAGE
) -> Iterator[Any]:
    try:
        from google.cloud import logging
    except ImportError as error:
        raise missing_package("google-cloud-logging", "gcp") from error
    numbers = [job.resource.rsplit("/", 1)[-1], *trials]
    named = " OR ".join(f'resource.labels.job_id="{number}"' for number in numbers)
    with polling_errors(f"read the log of {job.id}"):
        client = logging.Client(
            project=connection.project,
            credentials=local_credentials() if connection.endpoint else None,
            client_options={"api_endpoint": connection.endpoint} if connection.endpoint else None,
            _use_grpc=False,
        )
        wanted = f'resource.type="ml_job" AND ({named}) AND {also}'
        yield from client.list_entries(filter_=wanted, order_by=order, page_size=page)


def _line(entry: Any, trials: dict[str, str]) -> LogLine:
    payload = entry.payload
    text = payload.get("message", str(payload)) if isinstance(payload, dict) else str(payload)
    at = entry.timestamp.isoformat(timespec="milliseconds") if entry.timestamp else ""
    number = str((entry.resource.labels or {}).get("job_id", "")) if entry.resource else ""
    trial = str((entry.labels or {}).get(TRIAL_LABEL, "")) or trials.get(number, "")
    return LogLine(at, text.rstrip("\n"), trial, str(entry.insert_id or ""))


def _trials_by_job(connection: Connection, job: Job) -> dict[str, str]:
    """Number of a trial's own custom job -> the trial: some entries carry the one, some the other."""
    with polling_errors(f"ask for {job.id}"):
        tuning = job_client(connection).get_hyperparameter_tuning_job(name=job.resource, timeout=REQUEST_TIMEOUT_S)
    return {trial.custom_job.rsplit("/", 1)[-1]: str(trial.id) for trial in tuning.trials if trial.custom_job}
