"""A measured value with its interval, and how intervals are made."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measure on the test split and its interval (NaN where it is not defined); in 0..1, log loss in nats.
    `undefined_draws`: resamples that did not define it, which the interval leaves out."""

    value: float
    low: float
    high: float
    undefined_draws: int = 0


@dataclass(frozen=True, slots=True)
class Draws:
    """How intervals are made: the number of resamples and their seed."""

    count: int
    seed: int
