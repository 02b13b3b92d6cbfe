"""What EC2 still charges for after a job has ended: machines that live on, and volumes that did not go with theirs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from cxr.cloud.aws.clients import aws_errors, client
from cxr.cloud.aws.ec2.machines import (
    ALIVE,
    OUTPUT_TAG,
    ExitRecord,
    Machine,
    exit_record,
    machine_arn,
    with_tag,
)
from cxr.cloud.aws.ec2.page_leftovers import page_leftovers
from cxr.cloud.aws.ec2.states import is_overdue
from cxr.cloud.aws.names import labels_of
from cxr.cloud.aws.prices import GP3
from cxr.cloud.cleaning.found import Hunt
from cxr.cloud.cleaning.leftovers import Leftover, Sort
from cxr.cloud.connection import Connection
from cxr.cloud.hardware import Hardware
from cxr.cloud.jobs.seen import MANIFEST_LABEL, RUN_LABEL
from cxr.cloud.prices.storage import MonthlyPrice, machines_price
from cxr.cloud.prices.table import PriceTable
from cxr.errors import Unreachable

#: How often (seconds), and how many times, it is asked whether a machine has ended.
_ASK_S, _ASKS = 5, 60


def leftovers(hunt: Hunt, prices: PriceTable, *, now: datetime | None = None) -> Iterator[Leftover]:
    """Machines in scope whose job has ended or whose hard stop is over, and volumes without a machine. A machine at
    work is its job's: that is listed elsewhere. The jobs' security group stays: it costs nothing. What serves a page
    is listed as long as it lives."""
    machines = with_tag(hunt.connection, RUN_LABEL, states=ALIVE)
    for machine in machines:
        if machine.serves_page:
            continue
        verdict = hunt.verdict(machine.tags, machine.output_url)
        if verdict is None:
            continue
        record = exit_record(hunt.connection, machine.output_url)
        if not (record or is_overdue(machine, now) or machine.state in ("stopping", "stopped")):
            continue
        price = _machine_price(machine, prices)
        yield Leftover(
            Sort.MACHINE,
            machine.resource,
            machine.run,
            machine.tags.get(MANIFEST_LABEL, ""),
            detail=f"{machine.type} {machine.state}: {_why(record, machine, now)}",
            kept=verdict,
            usd_per_month=price.usd,
            basis=price.basis,
        )
    yield from _volumes(hunt, prices)
    yield from page_leftovers(hunt, prices, [machine for machine in machines if machine.serves_page])


def remove(connection: Connection, leftover: Leftover) -> None:
    """Terminate a machine, and wait until it has ended; or delete a volume, or a page's security group. Raises NotFound
    for what is gone."""
    ec2, id_ = client(connection, "ec2"), leftover.name.rsplit("/", 1)[-1]
    with aws_errors(f"delete {leftover.short_name}"):
        if leftover.sort is Sort.VOLUME:
            ec2.delete_volume(VolumeId=id_)
            return
        if leftover.sort is Sort.GROUP:
            ec2.delete_security_group(GroupId=id_)
            return
        ec2.terminate_instances(InstanceIds=[id_])
    _wait_for_end(ec2, leftover, id_)


def _wait_for_end(ec2: Any, leftover: Leftover, instance: str) -> None:
    from botocore.exceptions import WaiterError

    waiter = ec2.get_waiter("instance_terminated")
    with aws_errors(f"wait for the end of {leftover.short_name}"):
        try:
            waiter.wait(InstanceIds=[instance], WaiterConfig={"Delay": _ASK_S, "MaxAttempts": _ASKS})
        except WaiterError as error:
            raise Unreachable(f"{leftover.short_name} is being terminated, and has not ended yet: {error}") from error


def _why(record: ExitRecord | None, machine: Machine, now: datetime | None) -> str:
    if record:
        return "its job has ended, and it has not"
    return "its hard stop is over" if is_overdue(machine, now) else "somebody has stopped it; its volume is charged for"


def _machine_price(machine: Machine, prices: PriceTable) -> MonthlyPrice:
    """Of a machine that runs, without its volume, whose size its description does not tell."""
    if machine.state == "stopped":
        return MonthlyPrice(None, "a stopped machine costs what its volume costs")
    return machines_price(prices, Hardware(machine.type, None, 0, 1, disk_gb=0))


def _volumes(hunt: Hunt, prices: PriceTable) -> Iterator[Leftover]:
    wanted = [{"Name": "tag-key", "Values": [RUN_LABEL]}, {"Name": "status", "Values": ["available"]}]
    with aws_errors("list the volumes"):
        pages = client(hunt.connection, "ec2").get_paginator("describe_volumes").paginate(Filters=wanted)
        listed: list[Mapping[str, Any]] = [one for page in pages for one in page.get("Volumes", ())]
    account = _account(hunt.connection) if listed else ""
    for volume in listed:
        labels = labels_of(volume.get("Tags"))
        verdict = hunt.verdict(labels, labels.get(OUTPUT_TAG, ""))
        if verdict is None:
            continue
        size = int(volume.get("Size", 0))
        price = _volume_price(size, prices)
        yield Leftover(
            Sort.VOLUME,
            machine_arn(hunt.connection, account, str(volume["VolumeId"]), "volume"),
            labels.get(RUN_LABEL, ""),
            labels.get(MANIFEST_LABEL, ""),
            detail=f"{size} GB, its machine is gone",
            kept=verdict,
            size=size << 30,
            usd_per_month=price.usd,
            basis=price.basis,
        )


def _account(connection: Connection) -> str:
    if connection.project:
        return connection.project
    with aws_errors("ask for the account"):
        return str(client(connection, "sts").get_caller_identity()["Account"])


def _volume_price(size_gb: int, prices: PriceTable) -> MonthlyPrice:
    price = prices.entries.get(("disks", GP3))
    if price is None:
        return MonthlyPrice(None, "the price of gp3 volumes is not in the table")
    basis = f"{price.usd_per_hour:g} USD a GB and month, {price.source}, read {price.read_on}"
    return MonthlyPrice(size_gb * price.usd_per_hour, basis)
