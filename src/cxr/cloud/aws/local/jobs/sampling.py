"""Hyperparameters of a tuning job's trials, drawn at random with a seed, so that a name gives the same trials again.

Source: API reference, ParameterRanges. The strategy (Bayesian by default) is the service's own; here all are random.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any


def sample(ranges: Mapping[str, Any], draw: random.Random) -> dict[str, str]:
    """One value of every parameter, as text. Raises ValueError for a range that is none."""
    values: dict[str, str] = {}
    for one in ranges.get("IntegerParameterRanges") or []:
        low, high = int(one["MinValue"]), int(one["MaxValue"])
        position = _position(float(low), float(high), _scaling(one), draw)
        values[one["Name"]] = str(min(high, max(low, round(position))))
    for one in ranges.get("ContinuousParameterRanges") or []:
        values[one["Name"]] = repr(_position(float(one["MinValue"]), float(one["MaxValue"]), _scaling(one), draw))
    for one in ranges.get("CategoricalParameterRanges") or []:
        values[one["Name"]] = draw.choice(list(one["Values"]))
    return values


def _scaling(one: Mapping[str, Any]) -> str:
    return str(one.get("ScalingType") or "Auto")


def _position(low: float, high: float, scaling: str, draw: random.Random) -> float:
    if low > high:
        raise ValueError(f"MinValue {low:g} is above MaxValue {high:g}")
    if scaling == "Logarithmic":
        if low <= 0:
            raise ValueError("a logarithmic range begins above 0")
        return min(high, max(low, math.exp(draw.uniform(math.log(low), math.log(high)))))
    if scaling == "ReverseLogarithmic":
        if low < 0 or high >= 1:
            raise ValueError("a reverse logarithmic range lies within [0, 1)")
        return min(high, max(low, 1 - math.exp(draw.uniform(math.log(1 - high), math.log(1 - low)))))
    return draw.uniform(low, high)
