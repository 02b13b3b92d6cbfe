"""Results in words and cells."""

from __future__ import annotations

from harness.result import Better, GoalOf, Result


def number(value: float) -> str:
    """Three digits that count; whole with separators from a hundred on. What is whole stays so."""
    size = abs(value)
    if size >= 100 or float(value).is_integer():
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    if size >= 1:
        return f"{value:.2f}"
    return f"{value:.3g}"


def measured(result: Result) -> str:
    """`801 files/s (740 to 820)`."""
    text = f"{number(result.value)} {result.unit}".strip()
    return f"{text} ({number(result.spread[0])} to {number(result.spread[1])})" if result.spread else text


def peers(result: Result) -> str:
    """`upload_many: 143 files/s`."""
    if result.peer_value is None:
        return result.peer
    return f"{result.peer}: {number(result.peer_value)} {result.unit}".strip()


def times(result: Result) -> str:
    """`×5.6`: so many times better than the peer's."""
    return f"×{number(result.ratio)}" if result.ratio is not None else ""


def goal(result: Result) -> str:
    """`at least ×4: met`."""
    if result.goal is None:
        return ""
    outcome = "met" if result.met else "**missed**"
    if result.goal.of is GoalOf.RATIO:
        return f"at least ×{number(result.goal.bound)}: {outcome}"
    side = "at least" if result.better is Better.MORE else "at most"
    return f"{side} {number(result.goal.bound)} {result.unit}".rstrip() + f": {outcome}"


def told(result: Result) -> str:
    """One line for the terminal."""
    parts = [f"{result.name}, {result.measure}: {measured(result)}", peers(result), times(result)]
    parts += [f"goal: {goal(result)}" if result.goal else "", result.note]
    return "; ".join(part for part in parts if part)
