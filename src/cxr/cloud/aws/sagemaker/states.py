"""SageMaker's states in the words that all clouds share, and times as text.

Sources: DescribeTrainingJob (TrainingJobStatus, SecondaryStatus), DescribeHyperParameterTuningJob, DescribeAutoMLJobV2,
DescribeTransformJob.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

_STATES: Final = {
    "InProgress": "RUNNING",
    "Completed": "SUCCEEDED",
    "Failed": "FAILED",
    "Stopping": "CANCELLING",
    "Stopped": "CANCELLED",
    "Deleting": "CANCELLING",
    "DeleteFailed": "FAILED",
}
#: A training job that is in progress and has not begun to train.
_WAITING: Final = frozenset(
    {"Starting", "Pending", "LaunchingMLInstances", "PreparingTrainingStack", "Downloading", "DownloadingTrainingImage"}
)
#: How a job ends that was stopped by its own limits: not by anybody.
TIMEOUTS: Final = {
    "MaxRuntimeExceeded": "it ran longer than its timeout",
    "MaxWaitTimeExceeded": "it waited for spot capacity and ran longer than its timeout",
}


def state_of(status: str, secondary: str = "") -> str:
    """One of the common words; a word of SageMaker's that is not known as it is, in capitals."""
    if secondary in TIMEOUTS and status in {"Stopped", "Completed"}:
        return "FAILED"
    if status == "InProgress" and secondary in _WAITING:
        return "PENDING"
    return _STATES.get(status, status.upper())


def moment(time: Any) -> str:
    """A time as ISO text in UTC (seconds), "" for none."""
    if not isinstance(time, datetime):
        return ""
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC).isoformat(timespec="seconds")
