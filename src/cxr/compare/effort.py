"""What a model took to make: minutes of training and money, as far as its bundle knows.

The figures come from the bundle alone: `cost` was written when a job's model was brought home (from the journal and the
service's own report), `training_seconds` by the trainer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cxr.bundle import Bundle, Origin

#: Trained on a machine of one's own: no service sends a bill.
FREE_ORIGINS = frozenset({Origin.BASELINE})


@dataclass(frozen=True, slots=True)
class Effort:
    """`training_minutes` of wall clock (for AutoML node hours, in minutes). `usd`: what was billed, 0 for a machine of
    one's own, None where it is not known; `is_at_most`: it is a bound. `list_usd`: what a job costs where it is billed
    (the same as `usd` there; on the emulator what Google would take for the planned hours, at most)."""

    training_minutes: float | None = None
    usd: float | None = None
    is_at_most: bool = False
    list_usd: float | None = None

    @property
    def shown_usd(self) -> float | None:
        """The money that models are compared by: the bill where there was one, else the list price."""
        return self.list_usd if self.list_usd is not None else self.usd


def effort_of(bundle: Bundle) -> Effort:
    """What `bundle` says of its making. A figure that is not there, or no number, is None."""
    info = bundle.info
    seconds = _number(info.provenance, "training_seconds")
    minutes = None if seconds is None else seconds / 60
    if not info.cost:
        return Effort(minutes, usd=0.0 if info.origin in FREE_ORIGINS else None)
    hours = _number(info.cost, "hours")
    if minutes is None and hours is not None:
        minutes = hours * 60
    usd, planned = _number(info.cost, "actual_usd"), _number(info.cost, "worst_case_usd")
    is_billed = bool(info.cost.get("billed"))
    return Effort(
        training_minutes=minutes,
        usd=usd,
        is_at_most=bool(info.cost.get("actual_is_at_most")),
        list_usd=usd if is_billed and usd is not None else planned,
    )


def _number(values: Mapping[str, Any], name: str) -> float | None:
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None
