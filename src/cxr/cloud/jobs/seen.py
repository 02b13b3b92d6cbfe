"""What a service says of one job, whichever service it is: the nouns that every cloud answers with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cxr.cloud.jobs.journal import SUCCEEDED, WITHOUT_RESULT, Job
from cxr.cloud.plans.launch import JobKind

#: The labels (Google) or tags (Amazon) by which what cxr has made is found again.
RUN_LABEL, MANIFEST_LABEL = "cxr-run", "cxr-manifest"
#: States in which a job has ended.
ENDED = ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED")
#: What hours are counted in.
NODE_HOURS, WALL_HOURS, TRIAL_HOURS = "node hours", "hours of run time", "hours of trials"
#: Without a time of its own a log is read from its beginning.
LOGS_SINCE = "2020-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Seen:
    """What the service says of one job now. `state` is in Google's words without their prefix (QUEUED, PENDING,
    RUNNING, SUCCEEDED, FAILED, CANCELLING, CANCELLED, …), times are ISO in UTC (seconds); `error_code` is the
    google.rpc code's name, or Amazon's own word; `details` what was asked for, as far as the service tells it."""

    resource: str
    state: str
    error: str = ""
    error_code: str = ""
    created: str = ""
    started: str = ""
    ended: str = ""
    display_name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    model: str = ""
    output_url: str = ""
    dataset: str = ""
    progress: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobName:
    """A resource name taken apart. Project and region are "" when only an id was given."""

    resource: str
    kind: JobKind
    project: str = ""
    region: str = ""


@dataclass(frozen=True, slots=True)
class Attached:
    """A job of the journal, and whether this call brought it there."""

    job: Job
    fresh: bool


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line: ISO time, text, which trial of a tuning job wrote it ("" for others), the service's id of the entry."""

    at: str
    text: str
    trial: str = ""
    entry: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial as the service tells it; `value` is its final measurement, None when it reported none."""

    id: str
    state: str
    value: float | None
    parameters: Mapping[str, float | str]
    steps: int
    started: str
    ended: str


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """Where a job left its model: `url` of a folder, or of an `archive` (tar.gz) with one inside. Of a tuning job
    `trial` says which trial that is and how good it was."""

    url: str
    trial: Mapping[str, Any] = field(default_factory=dict)
    archive: bool = False


@dataclass(frozen=True, slots=True)
class PredictingModel:
    """A model on the service that may be asked for predictions: its name there, in which ways, and whether a program
    that stands for the cloud has made it."""

    resource: str
    in_batches: bool
    online: bool
    stand_in: bool


@dataclass(frozen=True, slots=True)
class RunTime:
    """Hours (None when the service does not say, or has forgotten the job), and what kind of hours."""

    hours: float | None
    unit: str


def launched_of(found: Iterable[Seen]) -> Seen | None:
    """Of all jobs that carry one plan's id the one that stands for the plan: one that is at work, else one that
    succeeded, else any; None of none."""

    def rank(seen: Seen) -> int:
        if seen.state in WITHOUT_RESULT:
            return 2
        return 1 if seen.state == SUCCEEDED else 0

    return min(found, key=rank, default=None)


def best_first(trials: Iterable[Trial]) -> list[Trial]:
    """Trials by their measurement, the largest first (those without one last), then by their number."""
    return sorted(
        trials, key=lambda one: (one.value is None, -(one.value or 0.0), int(one.id) if one.id.isdigit() else 0)
    )


def resource_tail(resource: str) -> str:
    """A resource name without project or account (Google writes the project's number where people write its id), and
    without a version. Of an ARN the part behind the account."""
    name = resource.partition("@")[0]
    if name.startswith("arn:"):
        return ":".join(name.split(":")[3:4] + name.split(":")[5:])
    return "/".join(name.split("/")[2:])
