"""Feeding a target, and telling of what came out of it."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from fuzz_mutations import mutant
from fuzz_targets import Target

#: An input of a few kilobytes that keeps a reader busy for so long hangs it; shared machines are slow.
HANG_SECONDS = 60
#: A first input as it is, which is known to end, also waits for what its reader imports.
SEED_SECONDS = 300


class HangError(BaseException):
    """A reader did not come to an end. Not an Exception: it is raised inside of the reader, which may catch those."""


@dataclass(frozen=True)
class Crash:
    """What a reader raised beside its refusals, and the input that made it."""

    target: str
    error: BaseException
    data: bytes


def inputs(target: Target, examples: int, chance: random.Random) -> Iterator[bytes]:
    """The first inputs as they are, then changed ones."""
    seeds = target.seeds
    yield from seeds
    for _ in range(examples - len(seeds)):
        yield mutant(seeds, chance)


def feed(target: Target, data: bytes, place: Path, seconds: float = HANG_SECONDS) -> Crash | None:
    """Give a target one input; what it raised and may not."""
    try:
        with _no_longer_than(seconds):
            target.feed(data, place)
    except target.refusals:
        return None
    except (Exception, HangError) as error:  # noqa: BLE001  (whatever else comes out is what is looked for)
        return Crash(target.name, error, data)
    return None


@contextmanager
def _no_longer_than(seconds: float) -> Iterator[None]:
    """The process has one timer, and pytest-timeout may have set it: afterwards it goes on with what is left of it."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise HangError(f"no end after {seconds} seconds")

    began = time.monotonic()
    before = signal.signal(signal.SIGALRM, stop)
    left, every = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - began), 0.001), every)
