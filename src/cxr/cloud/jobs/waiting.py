"""Waiting for something remote: starts at once, backs off, can be left and taken up again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from cxr.errors import Interrupted, Unreachable

T = TypeVar("T")

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 15.0
GROWTH = 1.3
#: How long a service may be out of reach before the wait is given up.
PATIENCE_S = 600.0
#: The same for a question that somebody sits before.
QUESTION_PATIENCE_S = 20.0
#: The longest Retry-After that is obeyed to the letter.
LONGEST_RETRY_S = 120.0


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
    patience_s: float = PATIENCE_S,
    on_look: Callable[[T], None] = lambda _: None,
    on_trouble: Callable[[Unreachable], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Look at one thing until it is `done`; as `poll_all`."""
    seen = poll_all(
        [""],
        lambda _: look(),
        done,
        timeout_s=timeout_s,
        longest_pause_s=longest_pause_s,
        patience_s=patience_s,
        on_look=lambda _, now: on_look(now),
        on_trouble=lambda _, error: on_trouble(error),
        sleep=sleep,
        clock=clock,
    )
    return seen[""]


def ask(question: Callable[[], T]) -> T:
    """The answer to a question that may be asked twice, asked again for `QUESTION_PATIENCE_S` while the service is out
    of reach."""
    return poll(question, lambda _: True, patience_s=QUESTION_PATIENCE_S)


def poll_all(
    keys: Sequence[str],
    look: Callable[[str], T],
    done: Callable[[T], bool],
    *,
    timeout_s: float | None = None,
    longest_pause_s: float = LONGEST_PAUSE_S,
    patience_s: float = PATIENCE_S,
    on_look: Callable[[str, T], None] = lambda _key, _seen: None,
    on_trouble: Callable[[str, Unreachable], None] = lambda _key, _error: None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, T]:
    """Look at each of several things in turn until all are `done`; what was seen last, by key.

    The pauses between rounds grow. What cannot be reached is asked again for `patience_s` (a lid closed, a network
    lost, a quota spent) and not before the seconds that it asked for; then it is given up, and the others are waited
    for all the same. Raises Interrupted when `timeout_s` has passed, the first Unreachable at the end when something
    was given up; what is waited for goes on.
    """
    start = clock()
    last_answer = dict.fromkeys(keys, start)
    seen: dict[str, T] = {}
    given_up: list[Unreachable] = []
    waiting = list(dict.fromkeys(keys))
    for planned in pauses(longest_s=longest_pause_s):
        pause = planned
        for key in tuple(waiting):
            try:
                found = look(key)
            except Unreachable as error:
                if clock() - last_answer[key] > patience_s:
                    given_up.append(error)
                    waiting.remove(key)
                    continue
                on_trouble(key, error)
                pause = max(pause, min(error.retry_after or 0.0, LONGEST_RETRY_S))
            else:
                last_answer[key] = clock()
                seen[key] = found
                on_look(key, found)
                if done(found):
                    waiting.remove(key)
        if not waiting:
            break
        if timeout_s is not None and clock() - start + pause > timeout_s:
            raise Interrupted(f"not finished after {timeout_s:g} s; it goes on without this program")
        sleep(pause)
    if given_up:
        raise given_up[0]
    return seen
