"""Where Amazon's jobs left their model, and how long they ran."""

from __future__ import annotations

from datetime import datetime

from cxr.cloud.aws.names import parse_arn
from cxr.cloud.aws.sagemaker.job_kinds import describe, name_of
from cxr.cloud.aws.sagemaker.tuning import best_trial, trial_summaries
from cxr.cloud.connection import Connection
from cxr.cloud.jobs.journal import Job
from cxr.cloud.jobs.seen import NODE_HOURS, TRIAL_HOURS, WALL_HOURS, ModelOutput, RunTime
from cxr.cloud.plans.launch import JobKind
from cxr.errors import Fault, NotFound


def model_output(connection: Connection, job: Job) -> ModelOutput:
    """SageMaker's archive of /opt/ml/model (ModelArtifacts), of a tuning job that of its best trial; the folder that a
    machine of EC2 has filled. Raises JobFailed when no trial has one."""
    if is_machine(job.resource):
        from cxr.cloud.aws.ec2 import engine

        return engine.model_output(connection, job)
    if job.kind is JobKind.TUNE:
        trial = best_trial(connection, job.resource)
        name = str(trial.pop("training_job"))
        return ModelOutput(_artifacts(connection, name), trial, archive=True)
    return ModelOutput(_artifacts(connection, name_of(job.resource)), archive=True)


def run_time(connection: Connection, job: Job) -> RunTime:
    """What is billed: BillableTimeInSeconds of a training job (of spot capacity less than its wall time) times its
    machines, of a tuning job the sum over its trials, of the others from start to end."""
    if is_machine(job.resource):
        from cxr.cloud.aws.ec2 import engine

        return engine.run_time(connection, job)
    try:
        if job.kind is JobKind.CUSTOM:
            told = describe(connection, job.kind, name_of(job.resource))
            seconds = told.get("BillableTimeInSeconds")
            return RunTime(wall_hours(job) if seconds is None else float(seconds) / 3600, WALL_HOURS)
        if job.kind is JobKind.TUNE:
            return RunTime(_trial_hours(connection, job), TRIAL_HOURS)
    except NotFound:
        pass
    return RunTime(wall_hours(job), NODE_HOURS if job.kind is JobKind.AUTOML else WALL_HOURS)


def is_machine(resource: str) -> bool:
    """Whether a job is a machine of EC2."""
    arn = parse_arn(resource)
    return arn is not None and arn.service == "ec2"


def _artifacts(connection: Connection, training_job: str) -> str:
    told = describe(connection, JobKind.CUSTOM, training_job)
    url = str((told.get("ModelArtifacts") or {}).get("S3ModelArtifacts", ""))
    if not url:
        raise Fault(f"{training_job} has ended without a model")
    return url


def _trial_hours(connection: Connection, job: Job) -> float:
    ended = [
        (one["TrainingStartTime"], one["TrainingEndTime"])
        for one in trial_summaries(connection, job.resource)
        if one.get("TrainingStartTime") and one.get("TrainingEndTime")
    ]
    return sum(float((end - start).total_seconds()) for start, end in ended) / 3600


def wall_hours(job: Job) -> float | None:
    """From start to end as the journal has them; None when one is not known."""
    if not job.started or not job.ended:
        return None
    return (datetime.fromisoformat(job.ended) - datetime.fromisoformat(job.started)).total_seconds() / 3600
