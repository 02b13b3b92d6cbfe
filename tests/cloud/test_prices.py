"""Prices and hardware: what has no price is not launched, a user's file wins, GPUs go with their machines."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cxr.cli.main import app
from cxr.cloud.prices.table import age_in_days, price_table
from cxr.cloud.providers import provider_of
from cxr.cloud.vertex.offers import MACHINES, ModelType, choose_hardware
from cxr.cloud.vertex.prices import GOOGLE
from cxr.errors import InputError, UsageError
from cxr.settings import Target

DISK = 100 * 0.1955 / 730


def test_every_machine_and_model_type_that_is_offered_has_a_price_with_date_and_source() -> None:
    table = price_table(None, GOOGLE)
    for model_type in ModelType:
        assert table.automl(model_type).at_most.source
    for name, machine in MACHINES.items():
        for accelerator in machine.attachable or [None]:
            price = table.hardware(choose_hardware(name, accelerator=accelerator)).at_most
            assert price.usd_per_hour > 0
            assert age_in_days(price, date(2026, 12, 1)) >= 0


def test_gpus_that_are_attached_are_paid_for_each() -> None:
    table = price_table(None, GOOGLE)
    plain = table.hardware(choose_hardware("n1-standard-8")).at_most.usd_per_hour
    two = table.hardware(choose_hardware("n1-standard-8", accelerator="NVIDIA_TESLA_T4", gpus=2)).at_most.usd_per_hour
    assert two - plain == pytest.approx(2 * 0.4025)
    assert plain == pytest.approx(0.4370 + DISK)


def test_replicas_and_spot_count_in_the_price_and_the_worst_case_knows_no_discount() -> None:
    table = price_table(None, GOOGLE)
    one = table.hardware(choose_hardware("g2-standard-4"))
    three = table.hardware(choose_hardware("g2-standard-4", replicas=3, spot=True))
    assert three.at_most.usd_per_hour == pytest.approx(3 * one.at_most.usd_per_hour)
    assert three.expected_usd_per_hour == pytest.approx(3 * (0.4 * 0.8129 + DISK))


@pytest.mark.parametrize(
    ("machine", "gpus", "accelerator", "words"),
    [
        ("g2-standard-4", 2, None, "has 1 x NVIDIA_L4, not 2"),
        ("g2-standard-4", None, "NVIDIA_TESLA_T4", "has NVIDIA_L4, not NVIDIA_TESLA_T4"),
        ("n1-standard-4", 3, "NVIDIA_TESLA_T4", "takes 1, 2, 4 x NVIDIA_TESLA_T4, not 3"),
        ("n1-standard-4", 1, "NVIDIA_L4", "takes NVIDIA_TESLA_T4, NVIDIA_TESLA_V100, not NVIDIA_L4"),
        ("m1-huge", None, None, "'m1-huge' is not known"),
    ],
)
def test_hardware_that_does_not_exist_is_refused(
    machine: str, gpus: int | None, accelerator: str | None, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        choose_hardware(machine, gpus=gpus, accelerator=accelerator)
    if gpus == 2:
        with pytest.raises(UsageError) as raised:
            choose_hardware(machine, gpus=gpus)
        assert raised.value.hint == "--machine g2-standard-24"


def test_a_users_file_replaces_what_it_has_and_nothing_else(tmp_path: Path) -> None:
    own = tmp_path / "prices.toml"
    own.write_text(
        '[automl.cloud]\nusd_per_hour = 3.0\nread_on = "2026-11-21"\nsource = "our contract"\n[spot]\ndiscount = 0.7\n'
    )
    table = price_table(own, GOOGLE)
    assert table.automl(ModelType.CLOUD).at_most.usd_per_hour == 3.0
    assert table.automl(ModelType.MOBILE_VERSATILE).at_most.usd_per_hour == 18.0
    assert (table.spot_discount, table.origin) == (0.7, str(own))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[machines.x", "not valid TOML"),
        ("[engines.x]\nusd_per_hour = 1", "unknown table 'engines'"),
        ('[machines.x]\nusd = 1\nread_on = "2026-01-01"\nsource = "s"', "unknown key 'usd'"),
        ('[machines.x]\nusd_per_hour = -1\nread_on = "2026-01-01"\nsource = "s"', "above zero"),
        ('[machines.x]\nusd_per_hour = nan\nread_on = "2026-01-01"\nsource = "s"', "above zero"),
        ('[machines.x]\nusd_per_hour = 1\nread_on = "soon"\nsource = "s"', "read_on must be a date"),
        ('[machines.x]\nusd_per_hour = 1\nread_on = "2026-01-01"', "source is missing"),
        ("[spot]\ndiscount = 1.5", "a share from 0 to 1"),
        ("machines = 3", "must be a table"),
    ],
)
def test_a_price_file_with_a_mistake_is_named(tmp_path: Path, text: str, words: str) -> None:
    own = tmp_path / "prices.toml"
    own.write_text(text)
    with pytest.raises(InputError, match=words):
        price_table(own, GOOGLE)


def test_a_price_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.toml"):
        price_table(tmp_path / "absent.toml", GOOGLE)


@pytest.mark.parametrize("on", list(Target))
def test_the_command_shows_the_prices_of_the_place_it_is_asked_for(
    on: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = CliRunner().invoke(app, ["cloud", "prices", "--on", on, "--json", "--old-days", "100000"])
    assert ended.exit_code == 0, ended.output
    data = json.loads(ended.stdout)
    table = price_table(None, provider_of(on).prices)
    assert data["cloud"] == table.price_list.cloud
    assert {(row["kind"], row["name"]): row["usd"] for row in data["prices"]} == {
        key: price.usd_per_hour for key, price in table.entries.items()
    }


def test_old_prices_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = {old: CliRunner().invoke(app, ["cloud", "prices", "--old-days", old]).output for old in ("1", "100000")}
    assert "read more than 1 days ago: " in words["1"]
    assert "days ago" not in words["100000"]
