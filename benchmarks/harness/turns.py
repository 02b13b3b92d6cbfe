"""Two sides measured in turn (A B A B), so that what else the machine does falls on both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from harness.result import Better, Result, least_ratio

Action = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Turns:
    """Seconds of each round of the two sides."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """How many times as long theirs takes: the median of the rounds."""
        return statistics.median(their / our for our, their in zip(self.ours, self.theirs, strict=True))


def seconds_of(action: Action) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def in_turns(ours: Action, theirs: Action, rounds: int) -> Turns:
    """`rounds` calls of each side, after one call of each that is not counted."""
    ours(), theirs()
    pairs = [(seconds_of(ours), seconds_of(theirs)) for _ in range(rounds)]
    return Turns(tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs))


def rate_result(name: str, turns: Turns, count: int, *, peer: str, goal: float | None = None, note: str = "") -> Result:
    """Images a second of both sides (`count` of them a round), medians; the ratio is the median of the rounds'."""
    rates = [count / seconds for seconds in turns.ours]
    return Result(
        name, "speed", statistics.median(rates), "images/s", Better.MORE, peer,
        count / statistics.median(turns.theirs), turns.ratio, least_ratio(goal) if goal else None,
        (min(rates), max(rates)), len(rates), note,
    )  # fmt: skip
