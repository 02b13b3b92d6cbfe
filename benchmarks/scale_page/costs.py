"""What one image costs at each step, out of the benchmarks' records, and what that makes of 10^4, 10^6 and 10^8."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness.record import Record
from harness.result import Result

SIZES = (10_000, 1_000_000, 100_000_000)
#: What a command of the program takes before it has read a row.
PROGRAM_GB = 0.15
#: The power of the number of images by which the time of a search grows that compares all pairs.
ALL_PAIRS = 2.0


@dataclass(frozen=True, slots=True)
class Records:
    """The records by script; what is not there is None."""

    by_script: Mapping[str, Record]

    def result(self, script: str, name: str, measure: str) -> Result | None:
        """The first result whose name begins so."""
        record = self.by_script.get(script)
        for result in record.results if record else ():
            if result.name.startswith(name) and result.measure == measure:
                return result
        return None

    def value(self, script: str, name: str, measure: str) -> float | None:
        """Its value."""
        result = self.result(script, name, measure)
        return None if result is None else result.value


@dataclass(frozen=True, slots=True)
class Cost:
    """What `images` images took when they were measured: seconds, and the process's peak memory in GB (None: it does
    not grow, or was not measured). `power`: the seconds grow with the number of images to that power."""

    images: int
    seconds: float
    gigabytes: float | None = None
    power: float = 1.0

    def cell(self, images: int) -> str:
        """For so many images: `69 s, 1.1 GB (m)`, with c for what is computed."""
        factor = images / self.images
        parts = [duration(self.seconds * factor**self.power)]
        if self.gigabytes is not None:
            parts.append(size((PROGRAM_GB + (self.gigabytes - PROGRAM_GB) * factor) * 1e9))
        return f"{', '.join(parts)} ({'m' if images == self.images else 'c'})"


def cost_of(records: Records, script: str, name: str, times: str = "time", memory: str = "") -> Cost | None:
    """The cost of a step whose result says in its name of how many images it is."""
    timed = records.result(script, name, times)
    found = re.search(r"(\d[\d,]*) (?:images|rows|objects|hashes)", timed.name) if timed else None
    if timed is None or found is None:
        return None
    gigabytes = records.value(script, name, memory) if memory else None
    return Cost(int(found[1].replace(",", "")), timed.value, gigabytes)


def cost_each(milliseconds: float | None) -> Cost | None:
    """A cost that was measured an image."""
    return Cost(1, milliseconds / 1e3) if milliseconds is not None else None


def search_cost(records: Records) -> Cost | None:
    """The search of near-duplicates: the largest that was measured, which compared all pairs."""
    record = records.by_script.get("scale")
    names = [result.name for result in record.results if result.name.startswith("search of")] if record else []
    costs = [cost for name in names if (cost := cost_of(records, "scale", name, "processor time"))]
    return replace(max(costs, key=lambda cost: cost.images), power=ALL_PAIRS) if costs else None


def duration(seconds: float) -> str:
    """In the unit in which it has one to three digits."""
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h"), (63e6, 86_400, "days")):
        if seconds < limit:
            return f"{_short(seconds / unit)} {name}"
    return f"{_short(seconds / 31_557_600)} years"


def size(data: float) -> str:
    """Bytes in the unit in which they have one to three digits."""
    for limit, unit, name in ((1e9, 1e6, "MB"), (1e12, 1e9, "GB"), (1e15, 1e12, "TB")):
        if data < limit:
            return f"{_short(data / unit)} {name}"
    return f"{_short(data / 1e15)} PB"


def dollars(usd: float) -> str:
    """`1,234 USD`; cents below ten."""
    if usd < 0.005:
        return "under 0.01 USD"
    return f"{usd:,.2f} USD" if usd < 10 else f"{usd:,.0f} USD"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}" if value >= 0.1 else f"{value:.1g}"
