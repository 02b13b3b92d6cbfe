"""What an EC2 instance's state, and what it wrote before its end, mean for the job that it ran."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cxr.cloud.aws.clients import aws_errors, client
from cxr.cloud.aws.ec2.machines import (
    ALIVE,
    CANCELLED_FILE,
    CANCELLED_TAG,
    ExitRecord,
    Machine,
    describe,
    exit_record,
    is_cancelled,
    noted_in,
    with_tag,
)
from cxr.cloud.aws.ec2.rules import hard_stop_minutes
from cxr.cloud.aws.offers import Engine
from cxr.cloud.connection import Connection
from cxr.cloud.jobs.journal import Job
from cxr.cloud.jobs.seen import ENDED, MANIFEST_LABEL, RUN_LABEL, WALL_HOURS, ModelOutput, RunTime, Seen, launched_of
from cxr.cloud.plans.launch import LaunchPlan
from cxr.cloud.trainer.job import job_output_url
from cxr.errors import InputError, NotFound

#: StateReason of an instance that Amazon took back (API_StateReason).
TAKEN_BACK: Final = ("Server.SpotInstanceTermination", "Server.SpotInstanceShutdown")
#: After the hard stop: so long may shutting down take until the machine counts as one that does not end.
GRACE: Final = timedelta(minutes=10)
_WORKING: Final = {"pending": "PENDING", "running": "RUNNING"}


def look(connection: Connection, resource: str, *, now: datetime | None = None) -> Seen:
    """The job of one instance. Raises NotFound, and ValueError for what is no instance's ARN."""
    return seen_of(connection, describe(connection, resource), now=now)


def find_launched(plan: LaunchPlan) -> Seen | None:
    """The job that carries the plan's id, if there is one; of several one that is at work, then one that succeeded. Of
    machines that EC2 has forgotten the bucket tells: what has ended is not launched a second time."""
    found = with_tag(plan.connection, RUN_LABEL, [plan.job_id]) or noted_in(plan.connection, job_output_url(plan))
    return launched_of(seen_of(plan.connection, machine) for machine in found)


def labelled(connection: Connection) -> Iterator[Seen]:
    """The jobs of all instances, those of the last hour included, that carry one of cxr's labels."""
    found = {machine.resource: machine for tag in (RUN_LABEL, MANIFEST_LABEL) for machine in with_tag(connection, tag)}
    jobs = (machine for machine in found.values() if machine.run and not machine.serves_page)
    yield from (seen_of(connection, machine) for machine in jobs)


def unfinished(connection: Connection) -> Iterator[Seen]:
    """The jobs whose instance is at work."""
    for machine in with_tag(connection, RUN_LABEL, states=tuple(_WORKING)):
        if machine.serves_page:
            continue
        seen = seen_of(connection, machine)
        if seen.state not in ENDED:
            yield seen


def cancel(connection: Connection, resource: str) -> None:
    """Terminate the instance, and say that it was cancelled: in the bucket first, then by a tag, for a termination
    without them looks like a failure. Raises InputError for a job that has ended."""
    machine = describe(connection, resource)
    if machine.state not in ALIVE:
        raise InputError(f"{machine.run or machine.id} has ended already: its machine is {machine.state or 'gone'}")
    if machine.output_url:
        connection.open(machine.output_url).replace_bytes(CANCELLED_FILE, b"{}", content_type="application/json")
    with aws_errors(f"cancel {machine.run or machine.id}"):
        ec2 = client(connection, "ec2")
        ec2.create_tags(
            Resources=[machine.id], Tags=[{"Key": CANCELLED_TAG, "Value": _now().isoformat("T", "seconds")}]
        )
        ec2.terminate_instances(InstanceIds=[machine.id])


def model_output(connection: Connection, job: Job) -> ModelOutput:
    """The folder that the machine sent its bundle to. Raises NotFound when nobody knows where that is."""
    return ModelOutput(f"{job.output_url or describe(connection, job.resource).output_url}/model")


def run_time(connection: Connection, job: Job) -> RunTime:
    """Hours from the instance's launch to its end, which is what EC2 charges for."""
    try:
        seen = look(connection, job.resource)
    except NotFound:
        begun, ended = job.started, job.ended
    else:
        begun, ended = seen.started, seen.ended
    if not begun or not ended:
        return RunTime(None, WALL_HOURS)
    return RunTime((datetime.fromisoformat(ended) - datetime.fromisoformat(begun)).total_seconds() / 3600, WALL_HOURS)


def seen_of(connection: Connection, machine: Machine, *, now: datetime | None = None) -> Seen:
    """The job of an instance that was described: its state by what the machine wrote before its end, else by EC2."""
    record = exit_record(connection, machine.output_url)
    state, error, code = _state(connection, machine, record, now or _now())
    ended = (record.ended if record else "") or machine.ended if state in ENDED else ""
    return Seen(
        resource=machine.resource,
        state=state,
        error=error,
        error_code=code,
        created=machine.launched,
        started=machine.launched,
        ended=ended,
        display_name=machine.run or machine.id,
        labels=machine.tags,
        output_url=machine.output_url,
        progress={"phase": machine.state} if machine.state else {},
        details=_details(machine),
    )


def is_overdue(machine: Machine, now: datetime | None = None) -> bool:
    """Whether a machine lives that should have shut down by its hard stop."""
    if machine.state not in ALIVE or not machine.timeout_hours or not machine.launched:
        return False
    stop = datetime.fromisoformat(machine.launched) + timedelta(minutes=hard_stop_minutes(machine.timeout_hours))
    return (now or _now()) > stop + GRACE


def _state(connection: Connection, machine: Machine, record: ExitRecord | None, now: datetime) -> tuple[str, str, str]:
    """State, error, and Amazon's word for the error."""
    if record is not None and record.exit == 0:
        return "SUCCEEDED", "", ""
    overdue = is_overdue(machine, now)
    if is_cancelled(connection, machine) and not overdue:
        # The tag stands before EC2 is asked to terminate: a machine that runs has not been cancelled yet.
        return ("CANCELLING" if machine.state in ALIVE and machine.state != "stopped" else "CANCELLED"), "", ""
    if record is not None:
        return "FAILED", record.reason or f"the trainer exited with a non-zero status of {record.exit}", ""
    taken = next((code for code in TAKEN_BACK if machine.reason.startswith(code)), "")
    if taken:
        return "FAILED", f"the spot machine was taken back: {machine.reason}", taken
    if overdue:
        ends = f"end it: cxr cloud clean {machine.run}"
        return "FAILED", f"its machine {machine.id} has not ended by its hard stop and still costs; {ends}", ""
    if machine.state in _WORKING:
        return _WORKING[machine.state], "", ""
    why = f": {machine.reason}" if machine.reason else ""
    return "FAILED", f"the machine ended before it had finished{why}", machine.reason.partition(":")[0]


def _details(machine: Machine) -> dict[str, Any]:
    return {
        "engine": str(Engine.EC2),
        "machine": machine.type,
        "spot": machine.spot,
        "replicas": 1,
        "timeout_hours": machine.timeout_hours,
    }


def _now() -> datetime:
    return datetime.now(UTC)
