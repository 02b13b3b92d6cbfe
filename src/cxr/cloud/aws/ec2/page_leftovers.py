"""Machines that serve a page, and the security groups of those that have ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cxr.cloud.aws.clients import aws_errors, client
from cxr.cloud.aws.ec2.machines import OUTPUT_TAG, PAGE_RUN, Machine, machine_arn
from cxr.cloud.aws.ec2.page_machines import DISK_GB, RUNNING, ends_of
from cxr.cloud.aws.names import labels_of
from cxr.cloud.aws.prices import page_machine_price
from cxr.cloud.cleaning.found import Hunt
from cxr.cloud.cleaning.leftovers import Leftover, Sort
from cxr.cloud.connection import Connection
from cxr.cloud.jobs.seen import RUN_LABEL
from cxr.cloud.prices.storage import MonthlyPrice
from cxr.cloud.prices.table import HOURS_A_MONTH, PriceTable
from cxr.errors import UsageError


def page_leftovers(hunt: Hunt, prices: PriceTable, machines: Sequence[Machine]) -> Iterator[Leftover]:
    """Those of pages in the hunt's bucket, whatever the folder: pages and jobs have different ones."""
    for machine in machines:
        if not _in_scope(hunt, machine.run, machine.output_url):
            continue
        price = _price(machine, prices)
        yield Leftover(
            Sort.MACHINE,
            machine.resource,
            machine.run,
            detail=f"{machine.type} {machine.state}: {_what(machine)}",
            usd_per_month=price.usd,
            basis=price.basis,
        )
    for group in _groups(hunt.connection):
        labels = labels_of(group.get("Tags"))
        run = labels.get(RUN_LABEL, "")
        if not _in_scope(hunt, run, labels.get(OUTPUT_TAG, "")):
            continue
        account = str(group.get("OwnerId", ""))
        name = machine_arn(hunt.connection, account, str(group["GroupId"]), "security-group")
        yield Leftover(Sort.GROUP, name, run, detail="says who may see a page; it costs nothing")


def _what(machine: Machine) -> str:
    if machine.state in RUNNING:
        return f"serves {machine.output_url} until {ends_of(machine)}; deleting it ends the page NOW"
    return f"has served {machine.output_url}"


def _in_scope(hunt: Hunt, run: str, page_url: str) -> bool:
    if not run.startswith(PAGE_RUN) or not hunt.scope.takes(run, ""):
        return False
    return run in hunt.named or f"{page_url}/".startswith(f"{hunt.connection.bucket_url}/")


def _groups(connection: Connection) -> list[Mapping[str, Any]]:
    wanted = [{"Name": "tag-key", "Values": [RUN_LABEL]}]
    with aws_errors("list the security groups"):
        pages = client(connection, "ec2").get_paginator("describe_security_groups").paginate(Filters=wanted)
        return [one for page in pages for one in page.get("SecurityGroups", ())]


def _price(machine: Machine, prices: PriceTable) -> MonthlyPrice:
    try:
        price = page_machine_price(prices, machine.type, DISK_GB)
    except UsageError as error:
        return MonthlyPrice(None, error.message)
    basis = f"{price.usd_per_hour:.4g} USD an hour x 730 with disk and address, {price.read_on}"
    return MonthlyPrice(price.usd_per_hour * HOURS_A_MONTH, basis)
