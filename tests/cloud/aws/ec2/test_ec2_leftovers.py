"""Machines that live on and volumes without a machine: found, priced, and ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ec2_site import Site

from cxr.cloud.aws.ec2 import engine
from cxr.cloud.aws.prices import AMAZON
from cxr.cloud.cleaning.found import Found, Hunt
from cxr.cloud.cleaning.leftovers import ORDER, Leftover, Scope, Sort
from cxr.cloud.cleaning.places import places_of
from cxr.cloud.plans.launch import LaunchPlan
from cxr.cloud.prices.table import price_table
from cxr.errors import NotFound

PRICES = price_table(None, AMAZON)


def hunt(site: Site, *runs: str, **scope: Any) -> Hunt:
    where = site.connection
    found = Found(where, (), (), places_of(where, ()))
    return Hunt(where, found, Scope(runs=frozenset(runs), **scope), frozenset(runs))


def found(site: Site, plan: LaunchPlan, *, now: datetime | None = None) -> list[Leftover]:
    return list(engine.leftovers(hunt(site, plan.job_id), PRICES, now=now))


def later(minutes: int) -> datetime:
    return datetime.now(UTC) + timedelta(minutes=minutes)


def test_a_machine_at_work_is_no_leftover(account_site: Site) -> None:
    plan = account_site.plan()
    account_site.submit(plan)
    assert found(account_site, plan) == []
    assert found(account_site, plan, now=later(140)) == []


def test_a_machine_past_its_hard_stop_is_found_with_its_price_and_ended(account_site: Site) -> None:
    plan = account_site.plan()
    resource = account_site.submit(plan).resource
    (machine,) = found(account_site, plan, now=later(150))
    assert (machine.sort, machine.name, machine.run, machine.kept) == (Sort.MACHINE, resource, plan.job_id, "")
    assert "its hard stop is over" in machine.detail
    assert machine.usd_per_month == pytest.approx(0.526 * 730)
    assert "g4dn.xlarge" in machine.basis
    engine.remove(account_site.connection, machine)
    (told,) = account_site.instances()
    assert told["State"]["Name"] == "terminated"
    assert found(account_site, plan, now=later(150)) == []


def test_a_machine_whose_job_has_ended_and_that_has_not_is_found(account_site: Site) -> None:
    plan = account_site.plan()
    account_site.submit(plan)
    account_site.end(plan, 0)
    (machine,) = found(account_site, plan)
    assert machine.detail == "g4dn.xlarge running: its job has ended, and it has not"


def test_a_stopped_machine_has_no_price_of_its_own(account_site: Site) -> None:
    plan = account_site.plan()
    resource = account_site.submit(plan).resource
    account_site.ec2.stop_instances(InstanceIds=[resource.rsplit("/", 1)[-1]])
    (machine,) = found(account_site, plan)
    assert machine.usd_per_month is None
    assert "volume" in machine.basis


def test_a_volume_without_its_machine_is_found_with_its_price_and_deleted(account_site: Site) -> None:
    plan = account_site.plan()
    ec2 = account_site.ec2
    tags = [{"Key": key, "Value": value} for key, value in plan.labels.items()]
    made = ec2.create_volume(
        AvailabilityZone="us-east-1a", Size=100, VolumeType="gp3",
        TagSpecifications=[{"ResourceType": "volume", "Tags": tags}],
    )  # fmt: skip
    ec2.create_volume(AvailabilityZone="us-east-1a", Size=7)
    (volume,) = found(account_site, plan)
    assert volume.name == f"arn:aws:ec2:us-east-1:123456789012:volume/{made['VolumeId']}"
    assert (volume.sort, volume.usd_per_month, volume.short_name) == (
        Sort.VOLUME, pytest.approx(8.0), f"volume/{made['VolumeId']}",
    )  # fmt: skip
    engine.remove(account_site.connection, volume)
    assert found(account_site, plan) == []
    with pytest.raises(NotFound):
        engine.remove(account_site.connection, volume)


def test_what_is_out_of_scope_or_of_another_place_is_spared(account_site: Site) -> None:
    plan = account_site.plan()
    account_site.submit(plan)
    account_site.end(plan, 0)
    assert list(engine.leftovers(hunt(account_site, "custom-0123456789"), PRICES)) == []
    elsewhere = Site(replace(account_site.connection, prefix="other"))
    everything = list(engine.leftovers(hunt(elsewhere, everything=True), PRICES))
    assert plan.job_id not in [one.run for one in everything]
    mine = list(engine.leftovers(hunt(account_site, everything=True), PRICES))
    assert [one.run for one in mine] == [plan.job_id]


def test_machines_go_before_everything_else() -> None:
    assert sorted(ORDER, key=lambda sort: ORDER[sort])[:2] == [Sort.MACHINE, Sort.VOLUME]
