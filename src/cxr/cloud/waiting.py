"""Waiting for something remote: starts at once, backs off, can be left and taken up again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from cxr.errors import Interrupted, Unreachable

T = TypeVar("T")

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 15.0
GROWTH = 1.3
#: How long a service may be out of reach before the wait is given up.
PATIENCE_S = 600.0


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
    on_trouble: Callable[[Unreachable], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Look until `done`. A service that cannot be reached is asked again for PATIENCE_S (a lid closed, a network lost).

    Raises Interrupted when `timeout_s` has passed, Unreachable when the patience is spent; what is waited for goes on.
    """
    start = last_answer = clock()
    for pause in pauses(longest_s=longest_pause_s):
        try:
            seen = look()
        except Unreachable as error:
            if clock() - last_answer > PATIENCE_S:
                raise
            on_trouble(error)
        else:
            last_answer = clock()
            on_look(seen)
            if done(seen):
                return seen
        if timeout_s is not None and clock() - start + pause > timeout_s:
            raise Interrupted(f"not finished after {timeout_s:g} s; it goes on without this program")
        sleep(pause)
    raise AssertionError("pauses() never ends")
