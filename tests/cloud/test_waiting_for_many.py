"""Several things are polled in turn: none waits for another, and one that is out of reach does not end the rest."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cxr.cloud.jobs.waiting import PATIENCE_S, poll_all
from cxr.errors import Interrupted, Unreachable


class FakeClock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)

    def __call__(self) -> float:
        return self.now


def test_each_is_looked_at_in_every_round_until_it_is_done() -> None:
    clock, looked = FakeClock(), []
    answers: dict[str, Iterator[str]] = {"slow": iter(["", "", "done"]), "quick": iter(["done"])}

    def look(key: str) -> str:
        looked.append(key)
        return next(answers[key])

    ended = poll_all(["slow", "quick"], look, lambda seen: seen == "done", sleep=clock.sleep, clock=clock)
    assert ended == {"slow": "done", "quick": "done"}
    assert looked == ["slow", "quick", "slow", "slow"]


def test_one_that_stays_out_of_reach_is_given_up_and_the_others_are_waited_for() -> None:
    clock = FakeClock()
    seen = []

    def look(key: str) -> bool:
        if key == "gone":
            raise Unreachable("nobody there")
        return clock.now > 2 * PATIENCE_S

    with pytest.raises(Unreachable, match="nobody there"):
        poll_all(["gone", "long"], look, bool, sleep=clock.sleep, clock=clock, on_look=lambda key, _: seen.append(key))
    assert clock.now > 2 * PATIENCE_S
    assert set(seen) == {"long"}


def test_a_service_is_left_alone_for_as_long_as_it_asked() -> None:
    clock = FakeClock()
    answers = iter([Unreachable("busy", retry_after=40.0), Unreachable("busy", retry_after=9999.0), None])

    def look(_: str) -> bool:
        answer = next(answers)
        if answer is not None:
            raise answer
        return True

    poll_all(["one"], look, bool, sleep=clock.sleep, clock=clock)
    assert clock.slept == [40.0, 120.0]


def test_the_time_limit_is_for_all_of_them() -> None:
    clock = FakeClock()
    with pytest.raises(Interrupted, match="not finished after 30 s"):
        poll_all(["a", "b"], lambda _: False, bool, timeout_s=30, sleep=clock.sleep, clock=clock)
    assert clock.now <= 30
