"""Amazon's prices: what is offered is priced or refused by name, volumes and spot are counted, a user's file wins."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from cxr.cloud.aws.offers import AUTOPILOT, MACHINES, PAGE_MACHINES, Engine, choose_hardware
from cxr.cloud.aws.prices import AMAZON, autopilot_price
from cxr.cloud.prices.storage import GB, storage_price
from cxr.cloud.prices.table import age_in_days, price_table, quoted_key
from cxr.cloud.providers import provider_of
from cxr.cloud.vertex.offers import choose_hardware as choose_google
from cxr.errors import InputError, UsageError
from cxr.settings import Target

ML_VOLUME = 100 * 0.14 / 730
GP3 = 100 * 0.08 / 730
#: Offered, without a price that can be relied on: see the head of the price table.
UNPRICED = {"ml.g6.16xlarge", "ml.g6e.16xlarge", "ml.c5.18xlarge", "ml.p4d.24xlarge"} | {
    f"{prefix}p3.{size}xlarge" for prefix in ("ml.", "") for size in (2, 8, 16)
}
OFFERED = [(engine, name) for engine in Engine for name in MACHINES[engine]]


@pytest.mark.parametrize(("engine", "name"), OFFERED, ids=[name for _, name in OFFERED])
def test_what_is_offered_has_a_price_or_is_refused_by_name_with_the_way_out(
    engine: Engine, name: str, tmp_path: Path
) -> None:
    table = price_table(None, AMAZON)
    hardware = choose_hardware(name, engine=engine)
    if name not in UNPRICED:
        price = table.hardware(hardware).at_most
        assert price.usd_per_hour > 0
        assert price.source
        assert price.region == "us-east-1"
        assert age_in_days(price, date(2026, 12, 1)) >= 0
        return
    with pytest.raises(UsageError, match=f"the price of '{name}' is not known") as raised:
        table.hardware(hardware)
    key = f"[machines.{quoted_key(name)}]"
    assert key in (raised.value.hint or "")
    own = tmp_path / "own.toml"
    own.write_text(f'{key}\nusd_per_hour = 9.5\nread_on = "2026-11-22"\nsource = "our bill"\n')
    volume = ML_VOLUME if engine is Engine.SAGEMAKER else GP3
    assert price_table(own, AMAZON).hardware(hardware).at_most.usd_per_hour == pytest.approx(9.5 + volume)


def test_every_price_of_a_machine_is_of_one_that_is_offered() -> None:
    priced = {name for kind, name in price_table(None, AMAZON).entries if kind == "machines"}
    assert priced == {name for _, name in OFFERED} - UNPRICED | set(PAGE_MACHINES)


def test_sagemaker_costs_more_than_the_same_instance_of_ec2() -> None:
    table = price_table(None, AMAZON)
    for name in set(MACHINES[Engine.EC2]) - UNPRICED:
        if f"ml.{name}" in UNPRICED:
            continue
        rented = table.entries["machines", f"ml.{name}"].usd_per_hour / table.entries["machines", name].usd_per_hour
        assert 1.1 < rented < 1.45, name


def test_volumes_and_replicas_count_and_no_spot_discount_is_promised() -> None:
    table = price_table(None, AMAZON)
    one = table.hardware(choose_hardware("ml.g4dn.xlarge"))
    assert one.at_most.usd_per_hour == one.expected_usd_per_hour == pytest.approx(0.7364 + ML_VOLUME)
    three = table.hardware(choose_hardware("ml.g4dn.xlarge", replicas=3, spot=True, disk_gb=200))
    assert three.at_most.usd_per_hour == pytest.approx(3 * (0.7364 + 2 * ML_VOLUME))
    assert three.expected_usd_per_hour == pytest.approx(three.at_most.usd_per_hour)
    assert "not counted" in three.expectation
    ec2 = table.hardware(choose_hardware("g4dn.xlarge", engine="ec2"))
    assert ec2.at_most.usd_per_hour == pytest.approx(0.526 + GP3)


def test_a_users_file_holds_entries_of_both_clouds(tmp_path: Path) -> None:
    own = tmp_path / "prices.toml"
    own.write_text(
        '[machines."ml.g4dn.xlarge"]\nusd_per_hour = 0.5\nread_on = "2026-11-21"\nsource = "our contract"\n'
        '[machines.g2-standard-4]\nusd_per_hour = 0.6\nread_on = "2026-11-21"\nsource = "our contract"\n'
        "[spot]\ndiscount = 0.3\n[spot.aws]\ndiscount = 0.5\n"
    )
    amazon, google = (price_table(own, provider_of(target).prices) for target in (Target.AWS, Target.GCP))
    spot = amazon.hardware(choose_hardware("ml.g4dn.xlarge", spot=True))
    assert spot.expected_usd_per_hour == pytest.approx(0.25 + ML_VOLUME)
    assert "50% below" in spot.expectation
    assert google.hardware(choose_google("g2-standard-4")).at_most.source == "our contract"
    assert (amazon.spot_discount, google.spot_discount) == (0.5, 0.3)
    assert amazon.origin == google.origin == str(own)


@pytest.mark.parametrize(
    "text", ["[spot.aws]\ndiscount = 2", "[spot]\naws = 0.5", "[spot.aws]\ndiscount = true"], ids=repr
)
def test_a_discount_of_one_cloud_with_a_mistake_is_named(text: str, tmp_path: Path) -> None:
    own = tmp_path / "prices.toml"
    own.write_text(text)
    with pytest.raises(InputError, match=r"\[spot"):
        price_table(own, AMAZON)


def test_autopilot_is_priced_by_machines_that_are_said_to_be_assumed() -> None:
    price = autopilot_price(price_table(None, AMAZON))
    assert price.at_most.usd_per_hour == pytest.approx(20.36 + ML_VOLUME)
    assert price.expected_usd_per_hour == pytest.approx(7.09 + ML_VOLUME)
    assert f"{AUTOPILOT.worst_machine} is assumed" in price.at_most.source
    assert f"{AUTOPILOT.expected_machine} is assumed" in price.expectation


def test_a_rehearsal_is_priced_as_the_cloud_that_it_stands_for() -> None:
    assert {target: provider_of(target).prices.cloud for target in Target} == {
        Target.EMULATOR: "gcp",
        Target.GCP: "gcp",
        Target.AWS_LOCAL: "aws",
        Target.AWS: "aws",
    }


def test_a_month_in_s3_has_its_own_price() -> None:
    assert storage_price(10 * GB, "us-east-1").usd == pytest.approx(0.23)
    assert "S3" in storage_price(1, "us-east-1").basis
    assert "Cloud Storage" in storage_price(1, "us-east1").basis
    assert storage_price(1, "eu-south-2").usd is None
