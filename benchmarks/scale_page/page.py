"""docs/scale.md: the prose stands there, its tables are made between their marks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.record import Record
from scale_page.costs import Records
from scale_page.tables import limits_in_numbers, prices, steps, training, unit_costs

TABLES: Mapping[str, Callable[[Records], str]] = {
    "steps": steps,
    "unit costs": unit_costs,
    "training": training,
    "prices": prices,
    "limits": limits_in_numbers,
}
_BLOCK = re.compile(r"(<!-- table: ([a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def rendered(text: str, records: Mapping[str, Record]) -> str:
    """The page with its tables made anew. Raises KeyError for a table that nobody makes."""
    return _BLOCK.sub(lambda found: f"{found[1]}\n{TABLES[found[2]](Records(records))}\n{found[3]}", text)


def render_scale(page: Path, records: Mapping[str, Record]) -> bool:
    """Make the tables of the page anew; whether there is a page."""
    if not page.is_file():
        return False
    page.write_text(rendered(page.read_text(encoding="utf-8"), records), encoding="utf-8")
    return True
