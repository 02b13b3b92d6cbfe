"""CreateHyperParameterTuningJob, StopHyperParameterTuningJob and ListTrainingJobsForHyperParameterTuningJob."""

from __future__ import annotations

import random
from typing import Any

from cxr.cloud.aws.local.answers import Answer, JsonObject, ServiceError, validation_error
from cxr.cloud.aws.local.calls.call import Call, Handler, page_of
from cxr.cloud.aws.local.calls.training import TrainingCalls, check_name, check_training_job
from cxr.cloud.aws.local.jobs.sampling import sample
from cxr.cloud.aws.local.jobs.training_job import Circumstances
from cxr.cloud.aws.local.jobs.tuning_job import KIND, TuningJob
from cxr.cloud.aws.local.jobs.work import JobKey, JobRunner

#: Longest name of a tuning job (API reference), for its training jobs' names add to it.
MOST_NAME_CHARACTERS = 32
_SORTED_BY = {
    "Name": "TrainingJobName",
    "CreationTime": "CreationTime",
    "Status": "TrainingJobStatus",
    "FinalObjectiveMetricValue": "FinalHyperParameterTuningJobObjectiveMetric",
}


class TuningCalls:
    """Hyperparameter tuning jobs."""

    def __init__(self, around: Circumstances, runner: JobRunner, training: TrainingCalls) -> None:
        self._around = around
        self._runner = runner
        self._training = training
        self._tunings: dict[tuple[str, str], TuningJob] = {}

    @property
    def handlers(self) -> dict[str, Handler]:
        """The calls, by action."""
        return {
            "CreateHyperParameterTuningJob": self.create,
            "StopHyperParameterTuningJob": self.stop,
            "ListTrainingJobsForHyperParameterTuningJob": self.list_trials,
        }

    def create(self, call: Call) -> Answer:
        """moto makes it, then it is in progress, before anybody can see it."""
        _check(call.body)
        answer = call.forward()
        tuning = TuningJob(self._around, call.region, call.body, self._training.create_trial, self._training.stop_job)
        tuning.begin()
        self._tunings[call.region, tuning.key.name] = tuning
        self._runner.coordinate(tuning)
        return answer

    def stop(self, call: Call) -> JsonObject:
        """Stopping, until its training jobs have ended."""
        name = self._known(call)
        job = self._around.moto.sagemaker(call.region).hyper_parameter_tuning_jobs[name]
        status = job.hyper_parameter_tuning_job_status
        if status not in {"InProgress", "Stopping"}:
            raise validation_error(f"The request was rejected because the tuning job is in status {status}.")
        job.hyper_parameter_tuning_job_status = "Stopping"
        self._runner.stop(JobKey(KIND, call.region, name))
        return {}

    def list_trials(self, call: Call) -> JsonObject:
        """Its training jobs, filtered, sorted (by name, when nothing is said) and paged as the service does."""
        tuning = self._tunings[call.region, self._known(call)]
        wanted = call.body.get("StatusEquals")
        summaries = [one for one in tuning.summaries() if wanted in {None, one["TrainingJobStatus"]}]
        field = _SORTED_BY[call.body.get("SortBy") or "Name"]
        if field == "FinalHyperParameterTuningJobObjectiveMetric":
            # Jobs without a value are left out (API reference).
            summaries = [one for one in summaries if field in one]
        summaries.sort(key=lambda one: _order(one[field]), reverse=call.body.get("SortOrder") == "Descending")
        return page_of(summaries, call.body, "TrainingJobSummaries")

    def _known(self, call: Call) -> str:
        name = str(call.body["HyperParameterTuningJobName"])
        if (call.region, name) not in self._tunings:
            raise ServiceError("ResourceNotFound", f"Amazon SageMaker can't find a tuning job with the name {name}.")
        return name


def _order(value: Any) -> Any:
    return value["Value"] if isinstance(value, dict) else value


def _check(body: JsonObject) -> None:
    config, definition = body["HyperParameterTuningJobConfig"], body.get("TrainingJobDefinition")
    if definition is None or "TrainingJobDefinitions" in body:
        raise validation_error("here a tuning job has one TrainingJobDefinition")
    objective = config.get("HyperParameterTuningJobObjective")
    if objective is None:
        raise validation_error("HyperParameterTuningJobConfig.HyperParameterTuningJobObjective is needed here")
    name = body["HyperParameterTuningJobName"]
    check_name(name, "hyperParameterTuningJobName", MOST_NAME_CHARACTERS)
    # Its training jobs' names add a number and a hash.
    check_training_job({**definition, "TrainingJobName": f"{name}-001-00000000"})
    metrics = definition["AlgorithmSpecification"].get("MetricDefinitions") or []
    if objective["MetricName"] not in {one["Name"] for one in metrics}:
        raise validation_error(
            f"The objective metric {objective['MetricName']} is not in the training job's metric definitions."
        )
    try:
        sample(config.get("ParameterRanges") or {}, random.Random(0))
    except ValueError as error:
        raise validation_error(f"Invalid parameter range: {error}") from error
