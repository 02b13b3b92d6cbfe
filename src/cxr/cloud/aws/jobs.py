"""Amazon's jobs, whoever runs them: SageMaker's by their tables, machines of EC2 by their engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cxr.cloud.aws.clients import aws_errors, client
from cxr.cloud.aws.ec2 import engine as ec2
from cxr.cloud.aws.ec2.machines import PAGE_RUN
from cxr.cloud.aws.names import full_name as arn_of
from cxr.cloud.aws.offers import MAXIMUM_SECONDS, Engine, choose_hardware
from cxr.cloud.aws.outputs import is_machine
from cxr.cloud.aws.prices import autopilot_price
from cxr.cloud.aws.sagemaker import custom, job_kinds
from cxr.cloud.aws.sagemaker.facts import TRIAL_OF
from cxr.cloud.connection import Connection
from cxr.cloud.jobs.seen import RUN_LABEL, JobName, Seen
from cxr.cloud.plans.launch import JobKind, LaunchPlan
from cxr.cloud.prices.table import PriceTable
from cxr.errors import UsageError


def find_launched(plan: LaunchPlan) -> Seen | None:
    """The plan's job on the service, if there is one."""
    if plan.request.get("engine") == Engine.EC2:
        return ec2.find_launched(plan)
    return custom.find_launched(plan)


def look(connection: Connection, kind: JobKind, resource: str) -> Seen:
    """Ask for one job. Raises ValueError for what is no job of that kind."""
    if is_machine(resource):
        return ec2.look(connection, resource)
    if kind not in job_kinds.KINDS:
        raise ValueError(f"Amazon has no jobs of kind {kind}")
    return job_kinds.look(connection, kind, resource)


def cancel(connection: Connection, kind: JobKind, resource: str) -> None:
    """Ask for the end of a job."""
    if is_machine(resource):
        ec2.cancel(connection, resource)
    else:
        job_kinds.stop(connection, kind, resource)


def labelled_jobs(connection: Connection, kinds: Iterable[JobKind]) -> Iterator[tuple[JobKind, Seen]]:
    """All jobs that carry one of cxr's tags."""
    wanted = tuple(kinds)
    yield from job_kinds.labelled(connection, wanted)
    if JobKind.CUSTOM in wanted:
        yield from ((JobKind.CUSTOM, seen) for seen in ec2.labelled(connection))


def unfinished_jobs(connection: Connection) -> Iterator[tuple[JobKind, Seen]]:
    """All jobs that have not ended; of machines only those of cxr."""
    yield from job_kinds.unfinished(connection)
    yield from ((JobKind.CUSTOM, seen) for seen in ec2.unfinished(connection))


def full_name(connection: Connection, name: JobName) -> str:
    """The ARN of a job that was named by its name: the account is asked for."""
    return name.resource if name.project else arn_of(connection, name, account_of(connection))


def account_of(connection: Connection) -> str:
    """The number of the account that asks."""
    with aws_errors("ask who this is"):
        return str(client(connection, "sts").get_caller_identity()["Account"])


def check_attachable(kind: JobKind, seen: Seen) -> None:
    """Raises UsageError for a trial, which belongs to its tuning job, for Autopilot of something else than images, and
    for a machine that serves a page."""
    if seen.labels.get(RUN_LABEL, "").startswith(PAGE_RUN):
        raise UsageError(f"{seen.resource} serves a page, and runs no job", hint="cxr cloud host PAGE --engine ec2")
    parent = seen.details.get(TRIAL_OF)
    if parent:
        raise UsageError(f"{seen.resource} is a trial", hint=f"cxr cloud attach {parent}")
    task = str(seen.details.get("task", ""))
    if kind is JobKind.AUTOML and not task.startswith("ImageClassification"):
        raise UsageError(f"{seen.resource} is Autopilot of another task ({task})", hint="cxr follows images")


def hourly_price(prices: PriceTable, kind: JobKind, asked: Mapping[str, Any]) -> float:
    """USD an hour at most, all machines together (of one trial); 0 when the table does not know."""
    try:
        if kind is JobKind.AUTOML:
            return autopilot_price(prices).at_most.usd_per_hour
        if not asked.get("machine"):
            return 0.0
        machine = str(asked["machine"])
        hardware = choose_hardware(
            machine,
            replicas=int(asked.get("replicas", 1)),
            disk_gb=int(asked.get("disk_gb") or 100),
            engine=Engine.SAGEMAKER if machine.startswith("ml.") else Engine.EC2,
        )
        return prices.hardware(hardware).at_most.usd_per_hour
    except (KeyError, ValueError, UsageError):
        return 0.0


def worst_hours(kind: JobKind, asked: Mapping[str, Any]) -> float:
    """Hours that a job is paid for at most, without a timeout those after which the service ends it; 0: not known."""
    if kind is JobKind.AUTOML:
        return float(asked.get("budget_hours") or 0.0)
    if kind not in {JobKind.CUSTOM, JobKind.TUNE}:
        return 0.0
    if asked.get("engine") == Engine.EC2:
        return ec2.worst_hours(asked)
    hours = float(asked.get("timeout_hours") or MAXIMUM_SECONDS / 3600) + custom.RULES.overtime_hours
    return hours * float(asked.get("trials") or 1) if kind is JobKind.TUNE else hours
