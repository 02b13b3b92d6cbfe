"""A hyperparameter tuning job: training jobs with drawn parameters, and which of them was best."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cxr.cloud.aws.local.jobs.sampling import sample
from cxr.cloud.aws.local.jobs.training_job import Circumstances, TrainingJob
from cxr.cloud.aws.local.jobs.training_state import last_value
from cxr.cloud.aws.local.jobs.work import JobFailedError, JobKey, JobStoppedError, Work
from cxr.cloud.aws.local.moto_state import now

KIND = "hyper-parameter-tuning-job"
OBJECTIVE_PARAMETER = "_tuning_objective_metric"
POLL_SECONDS = 0.1
_ENDED = ("Completed", "Failed", "Stopped")
#: What a training job inherits from the definition as it is.
_INHERITED = (
    "RoleArn",
    "InputDataConfig",
    "VpcConfig",
    "OutputDataConfig",
    "ResourceConfig",
    "StoppingCondition",
    "EnableNetworkIsolation",
    "EnableManagedSpotTraining",
    "CheckpointConfig",
    "Environment",
)
CreateTrial = Callable[[str, Mapping[str, Any], str], TrainingJob]
StopTrial = Callable[[str, str], None]


@dataclass(slots=True)
class Trial:
    """One training job of a tuning."""

    name: str
    tuned: Mapping[str, str]
    work: TrainingJob


class TuningJob(Work):
    """A tuning job that moto knows already. It waits for its training jobs and works on none itself."""

    def __init__(
        self, around: Circumstances, region: str, body: Mapping[str, Any], create: CreateTrial, stop: StopTrial
    ) -> None:
        super().__init__(JobKey(KIND, region, body["HyperParameterTuningJobName"]))
        self._around = around
        self._body = body
        self._create = create
        self._stop = stop
        config = body["HyperParameterTuningJobConfig"]
        self._limits = config["ResourceLimits"]
        self._objective = config["HyperParameterTuningJobObjective"]
        self._ranges = config.get("ParameterRanges") or {}
        self._backend = around.moto.sagemaker(region)
        self._job = self._backend.hyper_parameter_tuning_jobs[self.key.name]
        self.trials: list[Trial] = []

    def begin(self) -> None:
        """In progress: nothing of what moto has made up is left."""
        job = self._job
        job.hyper_parameter_tuning_job_status = "InProgress"
        job.hyper_parameter_tuning_end_time = None
        job.best_training_job = job.OverallBestTrainingJob = None
        job.failure_reason = job.tuning_job_completion_details = job.consumed_resources = None
        self.update()

    def run(self) -> None:
        """Start trials as long as there is room, and wait for them."""
        rule = self._around.outcomes.rule("fail", self.key.name)
        if rule is not None:
            raise JobFailedError(rule.reason)
        most = int(self._limits.get("MaxNumberOfTrainingJobs", 1))
        parallel = int(self._limits.get("MaxParallelTrainingJobs", 1))
        draw = random.Random(self.key.name)
        while not self.is_ending():
            running = [trial for trial in self.trials if not trial.work.done.is_set()]
            if len(self.trials) < most and len(running) < parallel:
                self._begin_trial(draw)
            elif not running:
                break
            else:
                running[0].work.done.wait(POLL_SECONDS)
            self.update()
        if self.is_ending():
            self._end_trials()
            raise JobStoppedError
        counts = self.update()
        if counts["Completed"] == 0:
            raise JobFailedError(
                "All training jobs failed. Please take a look at the training jobs failures to get more details."
            )
        self._end("Completed")

    def failed(self, reason: str) -> None:
        """Failed."""
        self._job.failure_reason = reason
        self._end("Failed")

    def stopped(self) -> None:
        """Stopped, with what its trials have come to."""
        if not self.abandoned.is_set():
            self._end("Stopped")

    def update(self) -> dict[str, int]:
        """Bring the counters and the best training job up to date; the counters of states are given."""
        with self._around.moto.lock:
            summaries = self.summaries()
            states = [one["TrainingJobStatus"] for one in summaries]
            counts = {
                "Completed": states.count("Completed"),
                "InProgress": sum(state not in _ENDED for state in states),
                "RetryableError": 0,
                "NonRetryableError": states.count("Failed"),
                "Stopped": states.count("Stopped"),
            }
            self._job.training_job_status_counters = counts
            objectives = [one["ObjectiveStatus"] for one in summaries]
            self._job.objective_status_counters = {
                name: objectives.count(name) for name in ("Succeeded", "Pending", "Failed")
            }
            self._job.best_training_job = self._best(summaries)
            self._job.last_modified_time = now()
            # Wall clock, as HyperParameterTuningJobConsumedResources has it.
            seconds = (now() - self._job.creation_time).total_seconds()
            self._job.consumed_resources = {"RuntimeInSeconds": max(1, round(seconds))}
        return counts

    def summaries(self) -> list[dict[str, Any]]:
        """Its training jobs, in the order of their creation (API reference: HyperParameterTrainingJobSummary)."""
        return [self._summary(trial) for trial in self.trials]

    def _begin_trial(self, draw: random.Random) -> None:
        definition = self._body["TrainingJobDefinition"]
        number = len(self.trials) + 1
        tuned = sample(self._ranges, draw)
        digest = hashlib.sha256(f"{self.key.name} {number} {sorted(tuned.items())}".encode()).hexdigest()[:8]
        name = f"{self.key.name}-{number:03d}-{digest}"
        body = {key: definition[key] for key in _INHERITED if key in definition} | {
            "TrainingJobName": name,
            # A tuning job's tags are also those of its training jobs (API reference).
            "Tags": self._body.get("Tags"),
            "AlgorithmSpecification": definition["AlgorithmSpecification"],
            "HyperParameters": {
                **(definition.get("StaticHyperParameters") or {}),
                **tuned,
                OBJECTIVE_PARAMETER: self._objective["MetricName"],
            },
        }
        with self._around.moto.lock:
            work = self._create(self.key.region, body, self._job.arn)
            self.trials.append(Trial(name, tuned, work))

    def _summary(self, trial: Trial) -> dict[str, Any]:
        job = self._backend.training_jobs[trial.name]
        value = last_value(job, self._objective["MetricName"])
        status = "Succeeded" if value is not None else "Failed"
        fields = {
            "TrainingJobName": trial.name,
            "TrainingJobArn": job.arn,
            "TuningJobName": self.key.name,
            "CreationTime": job.creation_time,
            "TrainingStartTime": job.training_start_time,
            "TrainingEndTime": job.training_end_time,
            "TrainingJobStatus": job.training_job_status,
            "TunedHyperParameters": dict(trial.tuned),
            "FailureReason": getattr(job, "failure_reason", None),
            "FinalHyperParameterTuningJobObjectiveMetric": None
            if value is None
            else {**self._objective, "Value": value},
            "ObjectiveStatus": status if job.training_job_status in _ENDED else "Pending",
        }
        return {name: field for name, field in fields.items() if field is not None}

    def _best(self, summaries: list[dict[str, Any]]) -> dict[str, Any] | None:
        sign = 1 if self._objective["Type"] == "Maximize" else -1
        # What a trial that failed has measured is not worth a model.
        able = [
            one
            for one in summaries
            if "FinalHyperParameterTuningJobObjectiveMetric" in one and one["TrainingJobStatus"] == "Completed"
        ]
        return max(
            able, key=lambda one: sign * one["FinalHyperParameterTuningJobObjectiveMetric"]["Value"], default=None
        )

    def _end_trials(self) -> None:
        for trial in self.trials:
            if not trial.work.done.is_set() and not self.abandoned.is_set():
                self._stop(self.key.region, trial.name)
        for trial in self.trials:
            while not trial.work.done.wait(POLL_SECONDS) and not self.abandoned.is_set():
                pass

    def _end(self, status: str) -> None:
        with self._around.moto.lock:
            self.update()
            self._job.hyper_parameter_tuning_end_time = now()
            self._job.hyper_parameter_tuning_job_status = status
