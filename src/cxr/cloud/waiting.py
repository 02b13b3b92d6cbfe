"""Waiting for something remote: starts at once, backs off, can be left and taken up again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from cxr.errors import Interrupted

T = TypeVar("T")

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 15.0
GROWTH = 1.3


def pauses(*, longest_s: float = LONGEST_PAUSE_S) -> Iterator[float]:
    """Seconds to wait between polls: short at first, then longer, never over `longest_s`."""
    pause = FIRST_PAUSE_S
    while True:
        yield pause
        pause = min(pause * GROWTH, longest_s)


def poll(
    look: Callable[[], T],
    done: Callable[[T], bool],
    *,
    timeout_s: float | None = None,
    longest_pause_s: float = LONGEST_PAUSE_S,
    on_look: Callable[[T], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Look until `done`. Raises Interrupted when `timeout_s` has passed; what is waited for goes on."""
    start = clock()
    for pause in pauses(longest_s=longest_pause_s):
        seen = look()
        on_look(seen)
        if done(seen):
            return seen
        if timeout_s is not None and clock() - start + pause > timeout_s:
            raise Interrupted(f"not finished after {timeout_s:g} s; it goes on without this program")
        sleep(pause)
    raise AssertionError("pauses() never ends")
