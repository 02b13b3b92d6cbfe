"""CreateTrainingJob, DescribeTrainingJob and StopTrainingJob."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from cxr.cloud.aws.local.answers import Answer, JsonObject, ServiceError, unknown_resource, validation_error
from cxr.cloud.aws.local.calls.call import Call, Handler
from cxr.cloud.aws.local.jobs.training_job import KIND, Circumstances, TrainingJob
from cxr.cloud.aws.local.jobs.training_request import DEFAULT_MAX_RUNTIME_SECONDS, training_request
from cxr.cloud.aws.local.jobs.training_state import TrainingState
from cxr.cloud.aws.local.jobs.work import JobKey, JobRunner

_NAME = r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,%d}"


class TrainingCalls:
    """Training jobs: refused as the service would, or handed to the runner."""

    def __init__(self, around: Circumstances, runner: JobRunner) -> None:
        self._around = around
        self._runner = runner

    @property
    def handlers(self) -> dict[str, Handler]:
        """The calls, by action."""
        return {
            "CreateTrainingJob": self.create,
            "DescribeTrainingJob": self.describe,
            "StopTrainingJob": self.stop,
        }

    def create(self, call: Call) -> Answer:
        """moto makes it, then it is in progress, before anybody can see it."""
        name = call.body["TrainingJobName"]
        existing = self._jobs(call.region).get(name)
        if existing is not None:
            words = "Training job names must be unique within an AWS account and region, and a training job with this"
            raise ServiceError("ResourceInUse", f"{words} name already exists ({existing.arn})")
        check_training_job(call.body)
        answer = call.forward()
        self._submit(call.region, call.body)
        return answer

    def create_trial(self, region: str, body: Mapping[str, Any], tuning_job_arn: str) -> TrainingJob:
        """A training job that belongs to a tuning job; the caller holds moto's lock."""
        self._around.moto.sagemaker(region).create_training_job(
            training_job_name=body["TrainingJobName"],
            hyper_parameters=body["HyperParameters"],
            algorithm_specification=dict(body["AlgorithmSpecification"]),
            role_arn=body["RoleArn"],
            input_data_config=body.get("InputDataConfig"),
            output_data_config=body["OutputDataConfig"],
            resource_config=body.get("ResourceConfig"),
            vpc_config=body.get("VpcConfig"),
            stopping_condition=body["StoppingCondition"],
            tags=list(body.get("Tags") or []),
            enable_network_isolation=body.get("EnableNetworkIsolation", False),
            enable_inter_container_traffic_encryption=False,
            enable_managed_spot_training=body.get("EnableManagedSpotTraining", False),
            checkpoint_config=body.get("CheckpointConfig"),
            debug_hook_config=None,
            debug_rule_configurations=None,
            tensor_board_output_config=None,
            experiment_config=None,
        )
        self._jobs(region)[body["TrainingJobName"]].tuning_job_arn = tuning_job_arn
        return self._submit(region, body)

    def describe(self, call: Call) -> Answer:
        """moto's answer; the service's words when there is no such job."""
        self._known(call)
        return call.forward()

    def stop(self, call: Call) -> JsonObject:
        """Stopping, until its program has ended."""
        name = self._known(call)
        self.stop_job(call.region, name)
        return {}

    def stop_job(self, region: str, name: str) -> None:
        """Ask a job to end. Raises ServiceError when it has ended."""
        state = TrainingState(self._around.moto, region, name)
        if state.is_over():
            status = self._jobs(region)[name].training_job_status
            raise validation_error(f"The request was rejected because the training job is in status {status}.")
        state.enter("Stopping")
        self._runner.stop(JobKey(KIND, region, name))

    def _submit(self, region: str, body: Mapping[str, Any]) -> TrainingJob:
        job = TrainingJob(self._around, region, training_request(body))
        job.state.begin(body)
        self._runner.submit(job)
        return job

    def _known(self, call: Call) -> str:
        name = str(call.body["TrainingJobName"])
        if name not in self._jobs(call.region):
            raise unknown_resource()
        return name

    def _jobs(self, region: str) -> dict[str, Any]:
        jobs: dict[str, Any] = self._around.moto.sagemaker(region).training_jobs
        return jobs


def check_training_job(body: Mapping[str, Any]) -> None:
    """Raise what the service would say of a body of CreateTrainingJob (API reference: CreateTrainingJob,
    StoppingCondition, ResourceConfig, MetricDefinition)."""
    check_name(body.get("TrainingJobName", ""), "trainingJobName", 63)
    resources, limits = body.get("ResourceConfig") or {}, body.get("StoppingCondition") or {}
    instance_type = resources.get("InstanceType")
    if instance_type is not None and instance_type not in instance_types():
        allowed = ", ".join(sorted(instance_types()))
        raise _constraint(instance_type, "resourceConfig.instanceType", f"satisfy enum value set: [{allowed}]")
    longest = limits.get("MaxRuntimeInSeconds", DEFAULT_MAX_RUNTIME_SECONDS)
    if body.get("EnableManagedSpotTraining") and limits.get("MaxWaitTimeInSeconds", 0) < longest:
        words = "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds"
        raise validation_error(words)
    if not body.get("EnableManagedSpotTraining") and "MaxWaitTimeInSeconds" in limits:
        raise validation_error("MaxWaitTimeInSeconds is not supported when EnableManagedSpotTraining is not set")
    if (body.get("OutputDataConfig") or {}).get("CompressionType") == "NONE":
        raise validation_error("OutputDataConfig.CompressionType NONE is not supported here")
    for metric in body["AlgorithmSpecification"].get("MetricDefinitions") or []:
        try:
            re.compile(metric["Regex"])
        except re.error as error:
            raise validation_error(f"Invalid regular expression of the metric {metric['Name']}: {error}") from error


def check_name(name: str, field: str, longest: int) -> None:
    """Raise what the service would say of a job's name: letters, digits and hyphens, at most so many."""
    pattern = _NAME % (longest - 1)
    if not re.fullmatch(pattern, name) or len(name) > longest:
        raise _constraint(name, field, f"satisfy regular expression pattern: {pattern}")


@cache
def instance_types() -> frozenset[str]:
    """The instance types of training that this boto3 knows."""
    from botocore.session import get_session

    return frozenset(get_session().get_service_model("sagemaker").shape_for("TrainingInstanceType").enum)


def _constraint(value: str, where: str, what: str) -> ServiceError:
    words = f"1 validation error detected: Value '{value}' at '{where}' failed to satisfy constraint: Member must"
    return validation_error(f"{words} {what}")
