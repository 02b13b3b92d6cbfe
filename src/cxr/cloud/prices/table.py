"""What a cloud charges, as a table with date and source, in a file that a user can override.

Each cloud has its own file, `price_table.toml` beside its offers, and its own way to say what an hour
of a machine is made of (`PriceList`). A user's file replaces the entries that it has, of one cloud or of several.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

from cxr.cloud.hardware import Hardware
from cxr.documents import parse_toml
from cxr.errors import InputError, UsageError

#: Hours in an average month, as the price pages of Google and Amazon count them.
HOURS_A_MONTH = 730.0
_KINDS = {
    "automl": "usd_per_hour",
    "machines": "usd_per_hour",
    "accelerators": "usd_per_hour",
    "disks": "usd_per_gb_month",
    "builds": "usd_per_minute",
    "addresses": "usd_per_hour",
}


@dataclass(frozen=True, slots=True)
class Price:
    """USD an hour, the day it was read (ISO), where, and for which region (None: all in which it is offered)."""

    usd_per_hour: float
    read_on: str
    source: str
    region: str | None = None


@dataclass(frozen=True, slots=True)
class HourlyPrice:
    """What one hour of a job costs, all replicas together: at most (the list price), and as is to be expected (spot
    capacity with the least discount that the cloud states)."""

    at_most: Price
    expected_usd_per_hour: float
    expectation: str = ""


@dataclass(frozen=True, slots=True)
class Charge:
    """What an hour of one machine is charged for: `amount` times the entry `name` of a kind. `compute` is what makes
    the price's source and region, and what is cheaper on spot capacity; disks are not."""

    kind: str
    name: str
    amount: float = 1.0
    compute: bool = True


@dataclass(frozen=True, slots=True)
class PriceList:
    """How a cloud charges: its name, as in [spot.NAME] of a user's file, the package that holds its
    `price_table.toml`, and what an hour of one machine is made of."""

    cloud: str
    package: str
    charges: Callable[[Hardware], Sequence[Charge]]


@dataclass(frozen=True, slots=True)
class PriceTable:
    """All prices. `entries` maps (kind, name) to a price in the kind's unit (disks: USD per GB and month; builds: USD a
    minute). `spot_discount` is the share 0..1 by which spot capacity is cheaper, of what is compute only (disks are
    not); 0: not known."""

    entries: Mapping[tuple[str, str], Price]
    spot_discount: float
    origin: str
    price_list: PriceList

    def automl(self, model_type: str) -> HourlyPrice:
        """The price of a node hour. Raises UsageError when the table has none."""
        price = self._entry("automl", model_type)
        return HourlyPrice(price, price.usd_per_hour)

    def hardware(self, hardware: Hardware) -> HourlyPrice:
        """The price of an hour of all replicas with their GPUs and boot disks. Raises UsageError when one is not in
        the table: what has no price is not launched."""
        charges = [(charge, self._entry(charge.kind, charge.name)) for charge in self.price_list.charges(hardware)]
        compute = sum(charge.amount * price.usd_per_hour for charge, price in charges if charge.compute)
        disks = sum(charge.amount * price.usd_per_hour for charge, price in charges if not charge.compute)
        used = [price for charge, price in charges if charge.compute]
        total = Price(
            usd_per_hour=hardware.replicas * (compute + disks),
            read_on=min(price.read_on for _, price in charges),
            source="; ".join(dict.fromkeys(price.source for price in used)),
            region=used[0].region,
        )
        if not hardware.spot:
            return HourlyPrice(total, total.usd_per_hour)
        expected = hardware.replicas * (compute * (1 - self.spot_discount) + disks)
        return HourlyPrice(total, expected, self._spot_words)

    def build_minute(self, machine: str) -> Price:
        """The price of a build minute of Cloud Build, in USD a minute. Raises UsageError when the table has none."""
        return self._entry("builds", machine)

    def address(self, name: str) -> Price:
        """The price of an hour of a machine's address on the internet. Raises UsageError when the table has none."""
        return self._entry("addresses", name)

    @property
    def _spot_words(self) -> str:
        if not self.spot_discount:
            return "spot, whose discount is not known beforehand and not counted"
        return f"spot, {self.spot_discount:.0%} below the list price"

    def _entry(self, kind: str, name: str) -> Price:
        try:
            return self.entries[kind, name]
        except KeyError:
            raise UsageError(
                f"the price of {name!r} is not known, so it is not launched",
                hint=f"put it into a file as [{kind}.{quoted_key(name)}] and say --prices FILE; see cxr cloud prices",
            ) from None


def price_table(override: Path | None, prices: PriceList) -> PriceTable:
    """The built-in table of a cloud, with the entries of the user's file in place of its own.

    Raises InputError for a file that is not there or is not of the form.
    """
    built_in = files(prices.package).joinpath("price_table.toml").read_text(encoding="utf-8")
    table = _read(built_in, f"{prices.package}/price_table.toml", PriceTable({}, 0.0, "built in", prices))
    if override is None:
        return replace(table, origin="built in")
    try:
        text = override.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the price file {override}: {error}") from error
    return _read(text, str(override), table)


def quoted_key(name: str) -> str:
    """A name as a key of TOML: a dot parts keys."""
    return f'"{name}"' if "." in name else name


def age_in_days(price: Price, today: date) -> int:
    """Days since a price was read."""
    return (today - date.fromisoformat(price.read_on)).days


def _read(text: str, where: str, base: PriceTable) -> PriceTable:
    try:
        document = parse_toml(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{where} is not valid TOML: {error}") from error
    unknown = sorted(set(document) - {*_KINDS, "spot"})
    if unknown:
        raise InputError(f"{where}: unknown table {unknown[0]!r}", hint=f"known: {', '.join([*_KINDS, 'spot'])}")
    entries = dict(base.entries)
    for kind, unit in _KINDS.items():
        for name, entry in _table(document.get(kind, {}), f"{where}, [{kind}]").items():
            entries[kind, name] = _price(entry, unit, f"{where}, [{kind}.{quoted_key(name)}]")
    discount = _discount(_table(document.get("spot", {}), f"{where}, [spot]"), f"{where}, [spot", base)
    return replace(base, entries=entries, spot_discount=discount, origin=where)


def _price(entry: Any, unit: str, where: str) -> Price:
    fields = _table(entry, where)
    unknown = sorted(set(fields) - {unit, "read_on", "source", "region"})
    if unknown:
        raise InputError(f"{where}: unknown key {unknown[0]!r}")
    read_on = str(fields.get("read_on", ""))
    try:
        date.fromisoformat(read_on)
    except ValueError:
        raise InputError(f"{where}: read_on must be a date like 2026-11-20, not {read_on!r}") from None
    if not isinstance(fields.get("source"), str):
        raise InputError(f"{where}: source is missing: say where the price stands")
    region = fields.get("region")
    return Price(
        _amount(fields.get(unit), f"{where}: {unit}"), read_on, fields["source"], str(region) if region else None
    )


def _amount(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise InputError(f"{where} must be a number above zero, not {value!r}")
    return float(value)


def _discount(spot: Mapping[str, Any], where: str, base: PriceTable) -> float:
    """That of this cloud, or that of all."""
    cloud = base.price_list.cloud
    own = _table(spot.get(cloud, {}), f"{where}.{cloud}]")
    value = own.get("discount", spot.get("discount", base.spot_discount))
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise InputError(f"{where}]: discount must be a share from 0 to 1, not {value!r}")
    return float(value)


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where} must be a table")
    return value
