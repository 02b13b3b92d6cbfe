"""CreateAutoMLJobV2, StopAutoMLJob and ListCandidatesForAutoMLJob."""

from __future__ import annotations

from cxr.cloud.aws.local.answers import Answer, JsonObject, ServiceError, validation_error
from cxr.cloud.aws.local.calls.call import Call, Handler, page_of
from cxr.cloud.aws.local.calls.training import check_name
from cxr.cloud.aws.local.jobs.automl_job import KIND, AutoMLJob
from cxr.cloud.aws.local.jobs.training_job import Circumstances
from cxr.cloud.aws.local.jobs.work import JobKey, JobRunner

PROBLEM = "ImageClassificationJobConfig"
#: Longest name of an AutoML job (API reference).
MOST_NAME_CHARACTERS = 32
_ENDED = ("Completed", "Failed", "Stopped")


class AutoMLCalls:
    """AutoML jobs of image classification."""

    def __init__(self, around: Circumstances, runner: JobRunner) -> None:
        self._around = around
        self._runner = runner

    @property
    def handlers(self) -> dict[str, Handler]:
        """The calls, by action."""
        return {
            "CreateAutoMLJobV2": self.create,
            "StopAutoMLJob": self.stop,
            "ListCandidatesForAutoMLJob": self.list_candidates,
        }

    def create(self, call: Call) -> Answer:
        """moto makes it, then it is in progress, before anybody can see it."""
        check_name(call.body["AutoMLJobName"], "autoMLJobName", MOST_NAME_CHARACTERS)
        problem = call.body.get("AutoMLProblemTypeConfig") or {}
        if PROBLEM not in problem:
            raise validation_error(f"here an AutoML job has an AutoMLProblemTypeConfig.{PROBLEM}")
        objective = (call.body.get("AutoMLJobObjective") or {}).get("MetricName", "Accuracy")
        if objective != "Accuracy":
            raise validation_error(f"{objective} is no objective metric of image classification: Accuracy is")
        # moto cannot do without the criteria, which may be left out.
        config = {"CompletionCriteria": {}, **problem[PROBLEM]}
        answer = call.forward({**call.body, "AutoMLProblemTypeConfig": {PROBLEM: config}})
        job = AutoMLJob(self._around, call.region, call.body)
        job.begin()
        self._runner.submit(job)
        return answer

    def stop(self, call: Call) -> JsonObject:
        """Stopping, until its program has ended."""
        name = self._known(call)
        job = self._around.moto.sagemaker(call.region).auto_ml_jobs[name]
        if job.auto_ml_job_status in _ENDED:
            status = job.auto_ml_job_status
            raise validation_error(f"The request was rejected because the AutoML job is in status {status}.")
        job.auto_ml_job_status = job.auto_ml_job_secondary_status = "Stopping"
        self._runner.stop(JobKey(KIND, call.region, name))
        return {}

    def list_candidates(self, call: Call) -> JsonObject:
        """The one candidate, when there is one."""
        job = self._around.moto.sagemaker(call.region).auto_ml_jobs[self._known(call)]
        candidates = [job.best_candidate] if job.best_candidate else []
        return page_of(candidates, call.body, "Candidates")

    def _known(self, call: Call) -> str:
        name = str(call.body["AutoMLJobName"])
        if name not in self._around.moto.sagemaker(call.region).auto_ml_jobs:
            raise ServiceError("ResourceNotFound", f"Could not find AutoML job with name {name}.")
        return name
