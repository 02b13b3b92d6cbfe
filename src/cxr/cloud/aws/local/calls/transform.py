"""CreateTransformJob, DescribeTransformJob and StopTransformJob."""

from __future__ import annotations

from typing import Any

from cxr.cloud.aws.local.answers import Answer, JsonObject, ServiceError, unknown_resource, validation_error
from cxr.cloud.aws.local.calls.call import Call, Handler
from cxr.cloud.aws.local.jobs.training_job import Circumstances
from cxr.cloud.aws.local.jobs.transform_job import KIND, TransformJob
from cxr.cloud.aws.local.jobs.work import JobKey, JobRunner

_ENDED = ("Completed", "Failed", "Stopped")


class TransformCalls:
    """Batch transform jobs."""

    def __init__(self, around: Circumstances, runner: JobRunner) -> None:
        self._around = around
        self._runner = runner

    @property
    def handlers(self) -> dict[str, Handler]:
        """The calls, by action."""
        return {
            "CreateTransformJob": self.create,
            "DescribeTransformJob": self.describe,
            "StopTransformJob": self.stop,
        }

    def create(self, call: Call) -> Answer:
        """moto makes it, then it is in progress, before anybody can see it."""
        backend = self._around.moto.sagemaker(call.region)
        existing = backend.transform_jobs.get(call.body["TransformJobName"])
        if existing is not None:
            raise ServiceError("ResourceInUse", f"Job name must be unique, and {existing.arn} already exists")
        model = backend._models.get(call.body["ModelName"])
        if model is None:
            raise validation_error(f'Could not find model "{call.body["ModelName"]}".')
        if (call.body["TransformInput"].get("SplitType") or "None") != "None":
            raise validation_error("SplitType: an image is a whole object")
        answer = call.forward()
        job = TransformJob(self._around, call.region, call.body, _container(model))
        job.begin()
        self._runner.submit(job)
        return answer

    def describe(self, call: Call) -> Answer:
        """moto's answer; the service's words when there is no such job."""
        self._known(call)
        return call.forward()

    def stop(self, call: Call) -> JsonObject:
        """Stopping, until its program has ended."""
        name, job = self._known(call)
        if job.transform_job_status in _ENDED:
            status = job.transform_job_status
            raise validation_error(f"The request was rejected because the transform job is in status {status}.")
        job.transform_job_status = "Stopping"
        self._runner.stop(JobKey(KIND, call.region, name))
        return {}

    def _known(self, call: Call) -> tuple[str, Any]:
        name = str(call.body["TransformJobName"])
        job = self._around.moto.sagemaker(call.region).transform_jobs.get(name)
        if job is None:
            raise unknown_resource()
        return name, job


def _container(model: Any) -> dict[str, Any]:
    found: dict[str, Any] = model.primary_container or next(iter(model.containers), {})
    return found
