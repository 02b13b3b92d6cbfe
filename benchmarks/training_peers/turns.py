"""Two sides measured in turn (A B A B), so that what else the machine does falls on both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

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

    def median(self, seconds: tuple[float, ...]) -> float:
        """The median of a side."""
        return statistics.median(seconds)


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


def report(what: str, turns: Turns, images: int, goal: str) -> None:
    """One line: both rates and the ratio."""
    ours, theirs = (images / turns.median(side) for side in (turns.ours, turns.theirs))
    print(f"{what}: {ours:,.0f} images/s against {theirs:,.0f}: {turns.ratio:.2f} times (goal: {goal})", flush=True)
