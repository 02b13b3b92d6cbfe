"""Intervals of a proportion that need no resampling.

They take cases as independent: where a patient has several images, the cluster bootstrap is the honest interval, and
these say what it would be without clusters, and how far a share of 0 or 1 may be off.
"""

from __future__ import annotations

from dataclasses import dataclass

from cxr.compare.metrics.confusion import Ints
from cxr.compare.statistics.bootstrap import LEVEL


@dataclass(frozen=True, slots=True)
class Proportion:
    """`count` of `of` cases, with two 95 % intervals in 0..1: Clopper and Pearson's exact one, which never covers too
    little, and Wilson's score interval, which covers as it says on average."""

    count: int
    of: int
    exact: tuple[float, float]
    wilson: tuple[float, float]


def proportion(count: int, of: int, *, level: float = LEVEL) -> Proportion | None:
    """The intervals of count/of; None where there is no case. (Clopper and Pearson, Biometrika 26 (1934) 404-413;
    Wilson, Journal of the American Statistical Association 22 (1927) 209-212.)"""
    from scipy.stats import binomtest  # slow to load: only where models are compared

    if not of:
        return None
    tested = binomtest(count, of)
    exact, wilson = (tested.proportion_ci(level, method) for method in ("exact", "wilson"))
    return Proportion(count, of, (float(exact.low), float(exact.high)), (float(wilson.low), float(wilson.high)))


def proportions(matrix: Ints, positive: int) -> dict[str, Proportion]:
    """The proportions that a confusion matrix [K, K] (truth in rows) holds, by measure; those of no case are left
    out."""
    total, right = int(matrix.sum()), int(matrix.trace())
    found = int(matrix[positive, positive])
    positives, called = int(matrix[positive].sum()), int(matrix[:, positive].sum())
    cleared = total - positives - (called - found)
    counts = {
        "accuracy": (right, total),
        "sensitivity": (found, positives),
        "specificity": (cleared, total - positives),
        "ppv": (found, called),
        "npv": (cleared, total - called),
    }
    made = {name: proportion(*pair) for name, pair in counts.items()}
    return {name: each for name, each in made.items() if each is not None}
