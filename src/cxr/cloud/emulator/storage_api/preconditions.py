"""ifGenerationMatch and its three sisters.

Source: https://cloud.google.com/storage/docs/request-preconditions. Generation 0 stands for "no live object".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cxr.cloud.emulator.errors import StorageError, invalid
from cxr.cloud.emulator.storage_api.context import Row

NAMES = {
    "ifGenerationMatch": "generation_match",
    "ifGenerationNotMatch": "generation_not_match",
    "ifMetagenerationMatch": "metageneration_match",
    "ifMetagenerationNotMatch": "metageneration_not_match",
}


@dataclass(frozen=True, slots=True)
class Preconditions:
    """What must hold of the live object (or bucket) before a request acts."""

    generation_match: int | None = None
    generation_not_match: int | None = None
    metageneration_match: int | None = None
    metageneration_not_match: int | None = None

    def check(self, live: Row | None, *, reading: bool = False) -> None:
        """Raise 412 when a condition fails; a failed not-match while reading is 304, as in HTTP."""
        generation = live["generation"] if live is not None and "generation" in live.keys() else 0  # noqa: SIM118
        metageneration = live["metageneration"] if live is not None else None
        if self.generation_match is not None and self.generation_match != generation:
            raise _failed("If-Match")
        if self.metageneration_match is not None and self.metageneration_match != metageneration:
            raise _failed("If-Match")
        not_match = self.generation_not_match is not None and self.generation_not_match == generation
        if self.metageneration_not_match is not None and self.metageneration_not_match == metageneration:
            not_match = True
        if not_match:
            raise StorageError(304, "notModified", "Not Modified") if reading else _failed("If-None-Match")


def preconditions_of(query: Mapping[str, str], *, of_source: bool = False) -> Preconditions:
    """The conditions in a query string (of a copy's source: `ifSourceGenerationMatch` …).

    Raises 400 for one that is not a whole number.
    """
    values: dict[str, int] = {}
    for condition, attribute in NAMES.items():
        name = condition.replace("if", "ifSource", 1) if of_source else condition
        if name not in query:
            continue
        values[attribute] = whole_number(query[name], name)
    return Preconditions(**values)


def whole_number(text: str, name: str) -> int:
    """A 64-bit number in a query. Raises 400."""
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) < 20 and -(1 << 63) <= int(text) < 1 << 63:
        return int(text)
    shown = text if len(text) < 100 else text[:100] + "…"
    raise invalid(f"Invalid value for: Invalid value '{shown}' for parameter {name}: not a valid 64-bit integer.")


def _failed(header: str) -> StorageError:
    message = "At least one of the pre-conditions you specified did not hold."
    return StorageError(412, "conditionNotMet", message, location=("header", header))
