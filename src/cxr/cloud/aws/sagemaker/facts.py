"""What SageMaker's descriptions tell of a job: state, times, where it writes, what was asked for, how far it is.

Each function reads one description (Describe… of the API) and the job's tags. `progress` and `details` hold JSON values
only, because they go into the journal; keys as in `cxr.cloud.jobs.progress` and in the requests of plans.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cxr.cloud.aws.sagemaker.states import TIMEOUTS, moment, state_of
from cxr.cloud.jobs.seen import Seen

#: A trial's tag-like fact: the tuning job that has launched it.
TRIAL_OF = "trial_of"


def training_job(told: Mapping[str, Any], labels: Mapping[str, str]) -> Seen:
    """DescribeTrainingJob."""
    secondary = str(told.get("SecondaryStatus", ""))
    reason = one_line(told.get("FailureReason", ""))
    details = {**machines(told.get("ResourceConfig") or {}), **_limits(told)}
    if told.get("TuningJobArn"):
        details[TRIAL_OF] = str(told["TuningJobArn"])
    progress: dict[str, Any] = {"phase": secondary} if secondary else {}
    if told.get("BillableTimeInSeconds"):
        progress["billable_seconds"] = int(told["BillableTimeInSeconds"])
    return Seen(
        resource=str(told["TrainingJobArn"]),
        state=state_of(str(told["TrainingJobStatus"]), secondary),
        error=reason or TIMEOUTS.get(secondary, ""),
        error_code=error_code(reason, secondary),
        created=moment(told.get("CreationTime")),
        started=moment(told.get("TrainingStartTime")),
        ended=moment(told.get("TrainingEndTime")),
        display_name=str(told["TrainingJobName"]),
        labels=labels,
        output_url=_folder(told),
        progress=progress,
        details=details,
    )


def tuning_job(told: Mapping[str, Any], labels: Mapping[str, str]) -> Seen:
    """DescribeHyperParameterTuningJob."""
    counts, objective = told.get("TrainingJobStatusCounters") or {}, told.get("BestTrainingJob") or {}
    limits = (told.get("HyperParameterTuningJobConfig") or {}).get("ResourceLimits") or {}
    definition = told.get("TrainingJobDefinition") or {}
    failed = int(counts.get("NonRetryableError", 0)) + int(counts.get("Stopped", 0))
    progress: dict[str, Any] = {
        "trials_done": int(counts.get("Completed", 0)) + failed,
        "trials_failed": failed,
        "trials_total": int(limits.get("MaxNumberOfTrainingJobs", 0)),
    }
    measured = objective.get("FinalHyperParameterTuningJobObjectiveMetric") or {}
    if "Value" in measured:
        progress["best"] = {
            "trial": trial_number(str(objective.get("TrainingJobName", ""))),
            "metric": str(measured.get("MetricName", "")),
            "value": float(measured["Value"]),
            "parameters": {key: number(value) for key, value in (objective.get("TunedHyperParameters") or {}).items()},
        }
    consumed = (told.get("ConsumedResources") or {}).get("RuntimeInSeconds")
    if consumed:
        progress["trial_hours"] = float(consumed) / 3600
    details = {**machines(definition.get("ResourceConfig") or {}), **_limits(definition)}
    details |= {"trials": progress["trials_total"], "parallel": int(limits.get("MaxParallelTrainingJobs", 0))}
    reason = one_line(told.get("FailureReason", ""))
    return Seen(
        resource=str(told["HyperParameterTuningJobArn"]),
        state=state_of(str(told["HyperParameterTuningJobStatus"])),
        error=reason,
        error_code=error_code(reason),
        created=moment(told.get("CreationTime")),
        started=moment(told.get("CreationTime")),
        ended=moment(told.get("HyperParameterTuningEndTime")),
        display_name=str(told["HyperParameterTuningJobName"]),
        labels=labels,
        output_url=_folder(definition),
        progress=progress,
        details=details,
    )


def automl_job(told: Mapping[str, Any], labels: Mapping[str, str]) -> Seen:
    """DescribeAutoMLJobV2."""
    config = told.get("AutoMLProblemTypeConfig") or {}
    image = config.get("ImageClassificationJobConfig")
    seconds = ((image or {}).get("CompletionCriteria") or {}).get("MaxAutoMLJobRuntimeInSeconds")
    details: dict[str, Any] = {"task": str(told.get("AutoMLProblemTypeConfigName") or next(iter(config), ""))}
    if seconds:
        details["budget_hours"] = int(seconds) / 3600
    candidate = told.get("BestCandidate") or {}
    progress: dict[str, Any] = {"phase": str(told.get("AutoMLJobSecondaryStatus", ""))}
    if candidate.get("CandidateName"):
        progress["candidate"] = str(candidate["CandidateName"])
    reason = one_line(told.get("FailureReason", ""))
    return Seen(
        resource=str(told["AutoMLJobArn"]),
        state=state_of(str(told["AutoMLJobStatus"])),
        error=reason,
        error_code=error_code(reason),
        created=moment(told.get("CreationTime")),
        started=moment(told.get("CreationTime")),
        ended=moment(told.get("EndTime")),
        display_name=str(told["AutoMLJobName"]),
        labels=labels,
        model=str(candidate.get("CandidateName", "")),
        output_url=str((told.get("OutputDataConfig") or {}).get("S3OutputPath", "")).rstrip("/"),
        progress=progress,
        details=details,
    )


def transform_job(told: Mapping[str, Any], labels: Mapping[str, str]) -> Seen:
    """DescribeTransformJob."""
    resources = told.get("TransformResources") or {}
    reason = one_line(told.get("FailureReason", ""))
    return Seen(
        resource=str(told["TransformJobArn"]),
        state=state_of(str(told["TransformJobStatus"])),
        error=reason,
        error_code=error_code(reason),
        created=moment(told.get("CreationTime")),
        started=moment(told.get("TransformStartTime")),
        ended=moment(told.get("TransformEndTime")),
        display_name=str(told["TransformJobName"]),
        labels=labels,
        output_url=str((told.get("TransformOutput") or {}).get("S3OutputPath", "")).rstrip("/"),
        details={"machine": str(resources.get("InstanceType", "")), "model": str(told.get("ModelName", ""))},
    )


def machines(config: Mapping[str, Any]) -> dict[str, Any]:
    """ResourceConfig as the keys of a plan's request."""
    if not config.get("InstanceType"):
        return {}
    return {
        "machine": str(config["InstanceType"]),
        "replicas": int(config.get("InstanceCount", 1)),
        "disk_gb": int(config.get("VolumeSizeInGB", 0)),
    }


def trial_number(training_job: str) -> str:
    """The number of a trial: SageMaker calls it NAME-001-HASH."""
    parts = training_job.rsplit("-", 2)
    return str(int(parts[1])) if len(parts) == 3 and parts[1].isdigit() else training_job


def number(text: Any) -> float | str:
    """A tuned value: SageMaker keeps all as text, a categorical one perhaps in quotes of its own."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return str(text).strip('"')


def error_code(reason: str, secondary: str = "") -> str:
    """Amazon's own word for a failure: what stands before the colon of a FailureReason, or the secondary status."""
    head = reason.partition(":")[0]
    if head.endswith("Error") and " " not in head:
        return head
    return secondary if secondary in TIMEOUTS else ""


def one_line(text: Any) -> str:
    """Text without line breaks."""
    return " ".join(str(text or "").split())


def _limits(told: Mapping[str, Any]) -> dict[str, Any]:
    seconds = (told.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds")
    limits: dict[str, Any] = {"spot": bool(told.get("EnableManagedSpotTraining"))}
    return limits | ({"timeout_hours": int(seconds) / 3600} if seconds else {})


def _folder(told: Mapping[str, Any]) -> str:
    return str((told.get("OutputDataConfig") or {}).get("S3OutputPath", "")).rstrip("/")
