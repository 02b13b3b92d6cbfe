"""McNemar's exact test: do two models err on equally many of the same cases?"""

from __future__ import annotations

from dataclasses import dataclass

from cxr.compare.metrics import Bools


@dataclass(frozen=True, slots=True)
class McNemar:
    """How many cases only the first model got right, and only the second; the rest says nothing of their difference.
    `p_value` is two-sided and exact."""

    only_first: int
    only_second: int
    p_value: float


def mcnemar(first_right: Bools, second_right: Bools) -> McNemar:
    """The exact test on paired cases [N]: under the null the cases that one model alone gets right are its own with
    chance one half, a binomial count (McNemar, Psychometrika 12 (1947) 153-157). It takes cases as independent. No such
    case: p = 1."""
    from scipy.stats import binomtest  # slow to load: only where models are compared

    only_first = int((first_right & ~second_right).sum())
    only_second = int((~first_right & second_right).sum())
    told_apart = only_first + only_second
    p_value = float(binomtest(only_first, told_apart, 0.5).pvalue) if told_apart else 1.0
    return McNemar(only_first, only_second, p_value)
