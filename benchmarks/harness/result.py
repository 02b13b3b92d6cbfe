"""A result: one thing that was measured, beside the same of a peer, and whether that reaches a goal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Better(StrEnum):
    """Which values of a measure are the better ones."""

    LESS = "less"
    MORE = "more"
    NEITHER = "neither"


class GoalOf(StrEnum):
    """What a goal is about: the value itself, or how many times better than the peer's it is."""

    VALUE = "value"
    RATIO = "ratio"


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound. Of a ratio it is the least; of a value the least or the most, whichever is the worse side."""

    of: GoalOf
    bound: float


@dataclass(frozen=True, slots=True)
class Result:
    """One line: `name` says of what, `measure` and `unit` what was measured.

    `ratio` is how many times better than the peer's: the peer's time by ours, or our rate by the peer's; above 1 ours
    is the better. It is the quotient of the values unless it is given (as a median of rounds, say). `spread` has the
    lowest and the highest of `repeats` values, of which `value` is the median or the best, as `note` or the script say.
    """

    name: str
    measure: str
    value: float
    unit: str
    better: Better = Better.LESS
    peer: str = ""
    peer_value: float | None = None
    ratio: float | None = None
    goal: Goal | None = None
    spread: tuple[float, float] | None = None
    repeats: int = 1
    note: str = ""

    def __post_init__(self) -> None:
        if self.ratio is None and self.peer_value is not None and self.better is not Better.NEITHER:
            above, below = self.peer_value, self.value
            if self.better is Better.MORE:
                above, below = below, above
            object.__setattr__(self, "ratio", above / below if below else None)

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.goal is None:
            return None
        if self.goal.of is GoalOf.RATIO:
            return self.ratio is not None and self.ratio >= self.goal.bound
        if self.better is Better.MORE:
            return self.value >= self.goal.bound
        return self.value <= self.goal.bound

    def as_json(self) -> dict[str, Any]:
        """All fields, and whether the goal is met."""
        return {**asdict(self), "met": self.met}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Result:
        """What `as_json` made. Raises KeyError, TypeError or ValueError for another document."""
        fields = {name: document[name] for name in cls.__slots__}
        goal, spread = fields["goal"], fields["spread"]
        fields["goal"] = Goal(GoalOf(goal["of"]), float(goal["bound"])) if goal else None
        fields["spread"] = (float(spread[0]), float(spread[1])) if spread else None
        return cls(**{**fields, "better": Better(fields["better"])})


def least_ratio(bound: float) -> Goal:
    """At least so many times better than the peer's."""
    return Goal(GoalOf.RATIO, bound)


def bound_of_value(bound: float) -> Goal:
    """No worse than this."""
    return Goal(GoalOf.VALUE, bound)
