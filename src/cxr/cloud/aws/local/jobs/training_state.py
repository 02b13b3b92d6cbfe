"""The states of a training job in moto's memory, as DescribeTrainingJob shows them.

Source: API reference, DescribeTrainingJob (SecondaryStatus) and SecondaryStatusTransition.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from cxr.cloud.aws.local.moto_state import MotoState, now

#: What the service says with each secondary status.
MESSAGES = {
    "Starting": "Starting the training job",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Interrupted": "The managed spot training instances were interrupted",
    "Stopping": "Stopping the training job",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds",
}
_BEFORE_THE_END = ("Starting", "Downloading", "Training", "Interrupted", "Stopping")
#: Longest FailureReason (API reference).
MOST_REASON_CHARACTERS = 1024


class TrainingState:
    """One training job's state. Its methods are whole: nobody sees half of a change."""

    def __init__(self, moto: MotoState, region: str, name: str) -> None:
        self._moto = moto
        self._job = moto.sagemaker(region).training_jobs[name]

    def begin(self, body: Mapping[str, Any]) -> None:
        """In progress: nothing of what moto has made up is left. `body` is the request."""
        job = self._job
        with self._moto.lock:
            job.algorithm_specification = dict(body["AlgorithmSpecification"])
            job.environment = body.get("Environment")
            job.hyper_parameters = body.get("HyperParameters")
            job.training_start_time = job.training_end_time = None
            job.model_artifacts = job.final_metric_data_list = None
            job.secondary_status_transitions = []
            job.training_job_status = "InProgress"
            self.enter("Starting")

    def enter(self, secondary: str) -> None:
        """The next secondary status; the first Downloading is the start of what is billed. A job that is being stopped
        does not start anything any more."""
        moment = now()
        with self._moto.lock:
            job = self._job
            if job.training_job_status == "Stopping" and secondary in _BEFORE_THE_END:
                return
            for transition in job.secondary_status_transitions[-1:]:
                transition["EndTime"] = moment
            message = MESSAGES[secondary]
            entry = {"Status": secondary, "StartTime": moment, "StatusMessage": message}
            job.secondary_status_transitions = [*job.secondary_status_transitions, entry]
            job.secondary_status = secondary
            job.last_modified_time = moment
            if secondary == "Downloading" and job.training_start_time is None:
                job.training_start_time = moment
            if secondary == "Stopping":
                job.training_job_status = "Stopping"

    def is_over(self) -> bool:
        """Whether it has ended, however."""
        return self._job.training_job_status in {"Completed", "Failed", "Stopped"}

    def metrics(self, values: Mapping[str, tuple[float, datetime]]) -> None:
        """The last value of each metric, with its time."""
        with self._moto.lock:
            self._job.final_metric_data_list = [
                {"MetricName": name, "Value": value, "Timestamp": moment} for name, (value, moment) in values.items()
            ] or None

    def completed(self, artefacts: str) -> None:
        """Completed with a model, or stopped with one (`end` follows)."""
        self._artefacts(artefacts)
        self.end("Completed", "Completed")

    def stopped(self, secondary: str, artefacts: str | None) -> None:
        """Stopped by its user or its time limit; `artefacts` when the model's folder was not empty."""
        if artefacts is not None:
            self._artefacts(artefacts)
        self.end("Stopped", secondary)

    def failed(self, reason: str) -> None:
        """Failed, with a reason."""
        with self._moto.lock:
            self._job.failure_reason = reason[:MOST_REASON_CHARACTERS]
            self.end("Failed", "Failed")

    def end(self, status: str, secondary: str) -> None:
        """The last status, with times."""
        with self._moto.lock:
            job = self._job
            self.enter(secondary)
            transition = job.secondary_status_transitions[-1]
            transition["EndTime"] = transition["StartTime"]
            job.training_end_time = transition["StartTime"]
            if job.training_start_time is not None:
                seconds = (job.training_end_time - job.training_start_time).total_seconds()
                job.training_time_in_seconds = max(1, math.ceil(seconds))
                job.billable_time_in_seconds = job.training_time_in_seconds
            job.training_job_status = status

    def _artefacts(self, uri: str) -> None:
        with self._moto.lock:
            self._job.model_artifacts = {"S3ModelArtifacts": uri}


def last_value(job: Any, metric: str) -> float | None:
    """A moto training job's last value of a metric."""
    values: Sequence[Mapping[str, Any]] = job.final_metric_data_list or []
    return next((float(one["Value"]) for one in values if one["MetricName"] == metric), None)
