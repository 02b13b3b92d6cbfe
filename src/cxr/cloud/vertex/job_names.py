"""Names of Vertex AI's jobs, and what their resources tell of where they work and what they cost."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cxr.cloud.connection import Connection
from cxr.cloud.hardware import Hardware
from cxr.cloud.jobs.seen import JobName, Seen
from cxr.cloud.plans.launch import JobKind
from cxr.cloud.prices.table import PriceTable
from cxr.cloud.vertex.custom import RULES
from cxr.cloud.vertex.job_facts import DEFAULT_DISK_GB
from cxr.cloud.vertex.job_kinds import KIND_OF
from cxr.cloud.vertex.offers import ModelType
from cxr.errors import UsageError

_NAME = re.compile(r"(?:projects/([^/]+)/locations/([^/]+)/)?(?:.+/)?([A-Za-z]+)/([^/]+)")
_AUTOML_IMAGE = "automl_image_classification"


def parse_job_name(text: str, kind: str | None) -> JobName:
    """A full resource name, or a bare id with its kind. Raises UsageError saying which is missing or wrong."""
    text = text.strip().strip("/")
    if "/" not in text:
        if not re.fullmatch(r"[\w-]+", text) or kind is None:
            raise UsageError(
                f"{text!r} is not a resource name, and its kind is not said",
                hint=f"projects/P/locations/L/customJobs/ID, or an id with --kind {'|'.join(_named_kinds())}",
            )
        return JobName(text, _kind(kind))
    found = re.search(r"projects/.*", text)
    match = _NAME.fullmatch(found.group()) if found else None
    if match is None or match.group(3) not in KIND_OF or not match.group(1):
        raise UsageError(
            f"{text!r} is not the name of a job",
            hint=f"projects/P/locations/L/COLLECTION/ID, COLLECTION one of {', '.join(KIND_OF)}",
        )
    if kind is not None and _kind(kind) is not KIND_OF[match.group(3)]:
        raise UsageError(f"{text} is no {kind} job but a {KIND_OF[match.group(3)]} job", hint="leave --kind out")
    assert found is not None
    return JobName(found.group(), KIND_OF[match.group(3)], match.group(1), match.group(2))


def place_of(connection: Connection, seen: Seen) -> Connection:
    """Project and region by the resource's name; bucket and prefix by where a job of ours writes."""
    _, project, _, region, *_ = seen.resource.split("/")
    # The service writes the project's number into names; whoever named the project knows it better.
    project = connection.project if project.isdigit() else project
    found = re.fullmatch(r"gs://([^/]+)/(?:(.*)/)?(?:jobs|predictions)/[^/]+", seen.output_url)
    bucket, prefix = (found.group(1), found.group(2) or "") if found else (connection.bucket, connection.prefix)
    return replace(connection, project=project, region=region, bucket=bucket, prefix=prefix)


def check_attachable(kind: JobKind, seen: Seen) -> None:
    """Raises UsageError for a training pipeline of another task than image classification."""
    task = str(seen.details.get("task", ""))
    if kind is not JobKind.AUTOML or task.startswith(_AUTOML_IMAGE):
        return
    inner = seen.details.get("custom_job")
    raise UsageError(
        f"{seen.resource} is a training pipeline of another task ({task})",
        hint=f"cxr cloud attach {inner}" if inner else "cxr follows AutoML image classification",
    )


def hourly_price(prices: PriceTable, kind: JobKind, asked: Mapping[str, Any]) -> float:
    """At most, all replicas together (of one trial); 0 when the table does not know, or the machines are not all the
    same: then no cost is shown rather than a wrong one."""
    try:
        if kind is JobKind.AUTOML:
            return prices.automl(ModelType(asked.get("model_type", ""))).at_most.usd_per_hour
        if not asked.get("machine"):
            return 0.0
        hardware = Hardware(
            asked["machine"],
            asked.get("accelerator"),
            int(asked.get("gpus", 0)),
            int(asked.get("replicas", 1)),
            disk_gb=int(asked.get("disk_gb", DEFAULT_DISK_GB)),
        )
        return prices.hardware(hardware).at_most.usd_per_hour
    except (KeyError, ValueError, UsageError):
        return 0.0


def worst_hours(kind: JobKind, asked: Mapping[str, Any]) -> float:
    """Hours that a job is paid for at most, without a timeout those after which the service ends it; 0: not known."""
    if kind is JobKind.AUTOML:
        return float(asked.get("budget_milli_node_hours", 0)) / 1000
    if kind not in {JobKind.CUSTOM, JobKind.TUNE}:
        return 0.0
    hours = float(asked.get("timeout_hours") or RULES.maximum_timeout_hours)
    return hours * float(asked.get("trials") or 1) if kind is JobKind.TUNE else hours


def _named_kinds() -> list[str]:
    return [str(kind) for kind in JobKind if kind is not JobKind.IMPORT]


def _kind(name: str) -> JobKind:
    if name not in _named_kinds():
        hint = f"choose one of: {', '.join(_named_kinds())}; an import is named by its operation's full name"
        raise UsageError(f"there is no kind of job {name!r}", hint=hint)
    return JobKind(name)
