"""Where custom and tuning jobs wrote their model."""

from __future__ import annotations

from typing import Any

from cxr.cloud.connection import Connection
from cxr.cloud.jobs.journal import Job
from cxr.cloud.jobs.seen import ModelOutput
from cxr.cloud.plans.launch import JobKind
from cxr.cloud.vertex.clients import REQUEST_TIMEOUT_S, job_client
from cxr.errors import Fault, JobFailed
from cxr.storage.google.errors import google_errors


def model_output(connection: Connection, job: Job) -> ModelOutput:
    """The folder that AIP_MODEL_DIR named: `model/` under the base output directory, of a tuning job's best trial
    `TRIAL/model/` (the service's CustomJobSpec, field base_output_directory). Raises JobFailed when no trial ended with
    a measurement, Fault for a job that has no output directory."""
    if job.kind is JobKind.TUNE:
        with google_errors(f"ask for {job.id}"):
            tuning = job_client(connection).get_hyperparameter_tuning_job(name=job.resource, timeout=REQUEST_TIMEOUT_S)
        base = job.output_url or _base(job, tuning.trial_job_spec)
        trial = best_trial(tuning)
        return ModelOutput(f"{base}/{trial['trial']}/model", trial)
    if job.output_url:
        return ModelOutput(f"{job.output_url}/model")
    with google_errors(f"ask for {job.id}"):
        custom = job_client(connection).get_custom_job(name=job.resource, timeout=REQUEST_TIMEOUT_S)
    return ModelOutput(f"{_base(job, custom.job_spec)}/model")


def best_trial(tuning: Any) -> dict[str, Any]:
    """The id, figure and parameters of a HyperparameterTuningJob's best trial, by its first metric's goal. Raises
    JobFailed when no trial has a final measurement of it."""
    metric = tuning.study_spec.metrics[0]
    sign = -1.0 if metric.goal.name == "MINIMIZE" else 1.0
    measured = [
        (sign * float(one.value), trial)
        for trial in tuning.trials
        if trial.state.name == "SUCCEEDED"
        for one in trial.final_measurement.metrics
        if one.metric_id == metric.metric_id
    ]
    if not measured:
        raise JobFailed(f"no trial of {tuning.display_name} ended with {metric.metric_id}", hint="cxr cloud jobs")
    value, trial = max(measured, key=lambda pair: pair[0])
    return {
        "trial": str(trial.id),
        "metric": {str(metric.metric_id): sign * value},
        "parameters": {str(one.parameter_id): one.value for one in trial.parameters},
    }


def _base(job: Job, spec: Any) -> str:
    url = str(spec.base_output_directory.output_uri_prefix).rstrip("/")
    if not url:
        raise Fault(f"{job.id} was started without an output directory: there is no model to bring home")
    return url
