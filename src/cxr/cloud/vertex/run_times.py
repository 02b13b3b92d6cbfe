"""How long jobs ran, as the service reports it: the node hours of AutoML, the run time of the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from cxr.cloud.connection import Connection
from cxr.cloud.jobs.journal import Job
from cxr.cloud.jobs.seen import NODE_HOURS, TRIAL_HOURS, WALL_HOURS, RunTime
from cxr.cloud.plans.launch import JobKind
from cxr.cloud.vertex.clients import REQUEST_TIMEOUT_S, job_client, pipeline_client
from cxr.errors import NotFound
from cxr.storage.google.errors import google_errors


def automl_run_time(connection: Connection, job: Job) -> RunTime:
    """The node hours that a training pipeline is billed for (`costMilliNodeHours` of its metadata)."""
    try:
        with google_errors(f"ask for {job.id}"):
            pipeline = pipeline_client(connection).get_training_pipeline(name=job.resource, timeout=REQUEST_TIMEOUT_S)
    except NotFound:
        return RunTime(None, NODE_HOURS)
    milli = _mapping(pipeline.training_task_metadata).get("costMilliNodeHours")
    hours = float(milli) / 1000 if isinstance(milli, str | float | int) and str(milli).strip() else None
    return RunTime(hours, NODE_HOURS)


def custom_run_time(connection: Connection, job: Job) -> RunTime:
    """From start to end of a custom job; of a tuning job the sum over its trials, which run side by side."""
    client = job_client(connection)
    look = client.get_hyperparameter_tuning_job if job.kind is JobKind.TUNE else client.get_custom_job
    try:
        with google_errors(f"ask for {job.id}"):
            found = look(name=job.resource, timeout=REQUEST_TIMEOUT_S)
    except NotFound:
        return _from_journal(job)
    if job.kind is JobKind.TUNE:
        return RunTime(trial_hours(found.trials), TRIAL_HOURS)
    if not found.start_time or not found.end_time:
        return _from_journal(job)
    return RunTime((found.end_time - found.start_time).total_seconds() / 3600, WALL_HOURS)


def trial_hours(trials: Iterable[Any]) -> float:
    """Hours that trials ran, one after the other; those that never began count nothing."""
    ended = (trial for trial in trials if trial.start_time and trial.end_time)
    return sum(float((trial.end_time - trial.start_time).total_seconds()) for trial in ended) / 3600


def _from_journal(job: Job) -> RunTime:
    if job.kind is JobKind.TUNE:
        told = job.progress.get("trial_hours")
        return RunTime(float(told) if told is not None else None, TRIAL_HOURS)
    if not job.started or not job.ended:
        return RunTime(None, WALL_HOURS)
    seconds = (datetime.fromisoformat(job.ended) - datetime.fromisoformat(job.started)).total_seconds()
    return RunTime(seconds / 3600, WALL_HOURS)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
