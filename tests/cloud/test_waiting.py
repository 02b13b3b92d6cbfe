"""Waiting: soon at first, then less often; a service out of reach is asked again; the clock is injected."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import pytest

from cxr.cloud.jobs.waiting import LONGEST_PAUSE_S, PATIENCE_S, pauses, poll
from cxr.errors import Interrupted, Unreachable


class FakeClock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def __call__(self) -> float:
        return self.now


def looker(answers: Iterator[object]) -> Callable[[], object]:
    def look() -> object:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return look


def test_pauses_start_short_and_stay_bounded() -> None:
    seen = list(islice(pauses(), 50))
    assert seen[0] == 0.5
    assert seen == sorted(seen)
    assert seen[-1] == LONGEST_PAUSE_S


def test_a_short_outage_is_waited_out_and_told() -> None:
    clock, told = FakeClock(), []
    answers = iter(["RUNNING", Unreachable("down"), Unreachable("down"), "SUCCEEDED"])
    ended = poll(
        looker(answers), lambda seen: seen == "SUCCEEDED", sleep=clock.sleep, clock=clock, on_trouble=told.append
    )
    assert ended == "SUCCEEDED"
    assert len(told) == 2


def test_an_outage_past_all_patience_is_raised() -> None:
    clock = FakeClock()

    def look() -> object:
        raise Unreachable("down")

    with pytest.raises(Unreachable):
        poll(look, bool, sleep=clock.sleep, clock=clock)
    assert PATIENCE_S < clock.now < PATIENCE_S + 2 * LONGEST_PAUSE_S


def test_the_time_limit_interrupts() -> None:
    clock = FakeClock()
    with pytest.raises(Interrupted, match="not finished after 60 s"):
        poll(lambda: "RUNNING", lambda seen: False, timeout_s=60, sleep=clock.sleep, clock=clock)
    assert clock.now <= 60
