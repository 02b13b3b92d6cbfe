"""Several tests, one error rate."""

from __future__ import annotations

import math
from collections.abc import Sequence


def joint_level(intervals: int, *, level: float = 0.95) -> float:
    """The level of each of so many intervals at which all of them hold together with at least `level`, whatever they
    have to do with each other (Bonferroni's inequality; Dunn, Journal of the American Statistical Association 56 (1961)
    52-64)."""
    return 1 - (1 - level) / max(intervals, 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment: the chance of any false alarm among these tests stays below the level at which an
    adjusted p-value is called small (Holm, Scandinavian Journal of Statistics 6 (1979) 65-70).

    In the order given, each in 0..1 and not below its own p-value. A NaN stays one and counts for no test.
    """
    tested = sorted((value, place) for place, value in enumerate(p_values) if not math.isnan(value))
    adjusted, largest = [math.nan] * len(p_values), 0.0
    for rank, (value, place) in enumerate(tested):
        largest = max(largest, min(1.0, (len(tested) - rank) * value))
        adjusted[place] = largest
    return adjusted
