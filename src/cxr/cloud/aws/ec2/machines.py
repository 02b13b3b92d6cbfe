"""Instances as EC2 tells of them, and what they leave in the bucket: a record at launch, and one when they end.

A terminated instance is forgotten by EC2 after about an hour (User Guide, "Terminate Amazon EC2 instances"), so that
the record of the launch lies in the job's folder, under the instance's name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from cxr.cloud.aws.clients import aws_errors, client
from cxr.cloud.aws.names import labels_of, parse_arn, partition_of
from cxr.cloud.connection import Connection
from cxr.cloud.jobs.seen import RUN_LABEL
from cxr.documents import parse_json
from cxr.errors import NotFound, UsageError
from cxr.storage.retrying import RetryingStore

#: Tags beside cxr's labels: where the job writes, its timeout in hours, its machine's image, that it was cancelled.
OUTPUT_TAG, TIMEOUT_TAG, CANCELLED_TAG = "cxr-output", "cxr-timeout-hours", "cxr-cancelled"
EXIT_FILE, CANCELLED_FILE = "exit.json", "cancelled.json"
#: What the run of a machine that serves a page begins with: it is nobody's job.
PAGE_RUN: Final = "page-"
#: States of an instance that costs something (a stopped one still has its volume).
ALIVE: Final = ("pending", "running", "stopping", "stopped", "shutting-down")
_MOMENT: Final = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)")


@dataclass(frozen=True, slots=True)
class Machine:
    """One instance: ARN, EC2's word for its state ("" when EC2 has forgotten it), its type, when it was launched and
    ended (ISO, UTC), why it ended in EC2's words, its tags, its name on the internet ("" when it has none)."""

    resource: str
    state: str = ""
    type: str = ""
    spot: bool = False
    launched: str = ""
    ended: str = ""
    reason: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    address: str = ""

    @property
    def id(self) -> str:
        """`i-…`."""
        return self.resource.rsplit("/", 1)[-1]

    @property
    def run(self) -> str:
        """The job's id, "" for a machine that is not of a job."""
        return self.tags.get(RUN_LABEL, "")

    @property
    def serves_page(self) -> bool:
        """Whether it serves a page, and runs no job."""
        return self.run.startswith(PAGE_RUN)

    @property
    def output_url(self) -> str:
        """Where the job writes."""
        return self.tags.get(OUTPUT_TAG, "")

    @property
    def timeout_hours(self) -> float:
        """The trainer's, 0 when it is not told."""
        try:
            return float(self.tags.get(TIMEOUT_TAG, 0))
        except ValueError:
            return 0.0


@dataclass(frozen=True, slots=True)
class ExitRecord:
    """What a machine wrote before it shut down: the exit status, why it is not 0, and when it began and ended."""

    exit: int
    reason: str
    started: str
    ended: str


def describe(connection: Connection, resource: str) -> Machine:
    """One instance, by its ARN; of one that EC2 has forgotten what was noted at its launch. Raises NotFound, and
    ValueError for what is no instance's ARN."""
    arn = parse_arn(resource)
    if arn is None or (arn.service, arn.type) != ("ec2", "instance"):
        raise ValueError(f"{resource} is not the ARN of an EC2 instance")
    try:
        with aws_errors(f"ask for {arn.name}"):
            answer = client(connection, "ec2").describe_instances(InstanceIds=[arn.name])
        found = list(_machines(connection, answer.get("Reservations", ())))
    except NotFound:
        found = []
    return found[0] if found else _noted(connection, arn.name)


def with_tag(connection: Connection, tag: str, values: Sequence[str] = (), states: Sequence[str] = ()) -> list[Machine]:
    """The instances that carry a tag (with one of these values), in these states or in any."""
    named = {"Name": f"tag:{tag}", "Values": list(values)} if values else {"Name": "tag-key", "Values": [tag]}
    wanted = [named, *([{"Name": "instance-state-name", "Values": list(states)}] if states else [])]
    with aws_errors("list the instances"):
        pages = client(connection, "ec2").get_paginator("describe_instances").paginate(Filters=wanted)
        return [one for page in pages for one in _machines(connection, page.get("Reservations", ()))]


def machine_arn(connection: Connection, account: str, instance: str, type_: str = "instance") -> str:
    """The ARN of an instance or of a volume."""
    region = connection.region
    return f"arn:{partition_of(region)}:ec2:{region}:{account}:{type_}/{instance}"


def note_launch(connection: Connection, machine: Machine) -> None:
    """Write down what EC2 will forget."""
    data = json.dumps(asdict(machine), indent=1).encode()
    connection.open(machine.output_url).replace_bytes(
        f"machines/{machine.id}.json", data, content_type="application/json"
    )


def exit_record(connection: Connection, output_url: str) -> ExitRecord | None:
    """What the machine wrote at its end, None when it has written nothing that can be read."""
    told = _json(connection, output_url, EXIT_FILE)
    if told is None or not isinstance(told.get("exit"), int):
        return None
    return ExitRecord(
        told["exit"], str(told.get("reason", "")), str(told.get("started", "")), str(told.get("ended", ""))
    )


def is_cancelled(connection: Connection, machine: Machine) -> bool:
    """Whether somebody has cancelled it: by its tag, and when EC2 has forgotten that, by the note in the bucket."""
    if machine.state:
        return CANCELLED_TAG in machine.tags
    return _json(connection, machine.output_url, CANCELLED_FILE) is not None


def machines_of(connection: Connection, reservation: Mapping[str, Any]) -> list[Machine]:
    """The instances of one reservation, as RunInstances and DescribeInstances tell of them."""
    return list(_machines(connection, [reservation]))


def _machines(connection: Connection, reservations: Sequence[Mapping[str, Any]]) -> Iterator[Machine]:
    for reservation in reservations:
        owner = str(reservation.get("OwnerId", ""))
        for one in reservation.get("Instances", ()):
            why = one.get("StateReason") or {}
            transition = str(one.get("StateTransitionReason", ""))
            yield Machine(
                machine_arn(connection, owner, str(one["InstanceId"])),
                state=str(one["State"]["Name"]),
                type=str(one.get("InstanceType", "")),
                spot=one.get("InstanceLifecycle") == "spot",
                launched=_moment(one.get("LaunchTime")),
                ended=_ended(transition),
                reason=str(why.get("Message") or why.get("Code") or transition),
                tags=labels_of(one.get("Tags")),
                address=str(one.get("PublicDnsName") or one.get("PublicIpAddress") or ""),
            )


def noted_in(connection: Connection, output_url: str) -> list[Machine]:
    """The machines whose launch is noted in a job's folder; none where there is no such bucket."""
    try:
        listed = [info.name for info in _store(connection, output_url).list("machines/")]
    except NotFound:
        return []
    found = (_record(connection, output_url, name) for name in listed if name.endswith(".json"))
    return [machine for machine in found if machine is not None]


def _noted(connection: Connection, instance: str) -> Machine:
    """The record of the launch: its name tells the instance, not the job, so that the folders are searched."""
    jobs = f"{connection.base_url}/jobs"
    listed = connection.open(jobs).list()
    name = next((info.name for info in listed if info.name.endswith(f"/machines/{instance}.json")), "")
    machine = _record(connection, jobs, name) if name else None
    if machine is None:
        raise NotFound(f"EC2 knows no instance {instance} (any more), and {jobs} has no record of it")
    return machine


def _record(connection: Connection, url: str, name: str) -> Machine | None:
    told = _json(connection, url, name)
    if told is None:
        return None
    tags = {str(key): str(value) for key, value in (told.get("tags") or {}).items()}
    texts = {key: str(told.get(key, "")) for key in ("resource", "type", "launched")}
    return Machine(**texts, spot=bool(told.get("spot")), tags=tags)


def _json(connection: Connection, url: str, name: str) -> dict[str, Any] | None:
    scheme, slashes, place = url.partition("://")
    bucket, _, folder = place.partition("/")
    if not bucket:
        return None
    try:
        told = parse_json(_store(connection, f"{scheme}{slashes}{bucket}").get_bytes(f"{folder}/{name}"))
    except (NotFound, UsageError, ValueError):
        return None
    return told if isinstance(told, dict) else None


@lru_cache(maxsize=8)
def _store(connection: Connection, url: str) -> RetryingStore:
    """Kept: a client takes a tenth of a second to make, and a job that is waited for is looked at a thousand times."""
    return connection.open(url)


def _moment(time: Any) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds") if isinstance(time, datetime) else ""


def _ended(transition: str) -> str:
    """`User initiated (2026-11-22 09:10:11 GMT)`: when."""
    found = _MOMENT.search(transition)
    return datetime.fromisoformat(f"{found.group(1)}+00:00").isoformat(timespec="seconds") if found else ""
