"""The difference of two shares of the same cases where resampling cannot see it: when few cases, or none, tell two
models apart, the resamples hold hardly more than what was seen, and their interval ends too near to it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from cxr.compare.metrics.confusion import Bools
from cxr.compare.statistics.bootstrap import LEVEL

#: Halvings of the span of a difference (2) until its end is found to 10^-12.
HALVINGS = 41


@dataclass(frozen=True, slots=True)
class PairedShares:
    """Cases that only the first model got right, only the second did, and all, as many as the patients are worth.
    `patients_told_apart`: patients with an image of the first or second kind."""

    only_first: float
    only_second: float
    of: float
    patients_told_apart: int

    def interval(self, *, level: float = LEVEL) -> tuple[float, float]:
        """The interval of the first share less the second."""
        return tango_interval(self.only_first, self.only_second, self.of, level=level)


def paired_shares(first_right: Bools, second_right: Bools, patient: NDArray[np.intp]) -> PairedShares | None:
    """Paired cases [N] of the patients numbered in `patient` [N]; None without a case.

    Images of one patient are taken to say all the same: they count for as many independent ones as there are patients,
    or fewer where some have many more images than others, (sum n)^2 / sum n^2 (Kish, Survey Sampling (1965), section
    11.7). That is the widest that resemblance can make the interval; with one image a patient nothing changes.
    """
    if not len(first_right):
        return None
    images = np.bincount(patient)
    worth = float(images.sum() / np.square(images).sum())
    told_apart = first_right != second_right
    return PairedShares(
        float((told_apart & first_right).sum()) * worth,
        float((told_apart & second_right).sum()) * worth,
        len(first_right) * worth,
        len(np.unique(patient[told_apart])),
    )


def tango_interval(only_first: float, only_second: float, of: float, *, level: float = LEVEL) -> tuple[float, float]:
    """The score interval of the difference (only_first - only_second) / of of two paired shares: all differences that
    the score test does not reject (Tango, Equivalence test and confidence interval for the difference in proportions
    for the paired-sample design, Statistics in Medicine 17 (1998) 891-908). Where nothing was told apart it reaches
    z^2 / (of + z^2) to either side. Counts need not be whole; `of` is more than 0 and not less than their sum."""
    z = NormalDist().inv_cdf(0.5 + level / 2)
    low = _falls_to(z, only_first, only_second, of)
    # The other end is the lower one of the models exchanged.
    return low, -_falls_to(z, only_second, only_first, of)


def _falls_to(z: float, only_first: float, only_second: float, of: float) -> float:
    """The smallest difference at which the score, which falls as the difference grows, is not above z."""
    low, high = -1.0, (only_first - only_second) / of
    if high <= low:
        return -1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _score(middle, only_first, only_second, of) > z else (low, middle)
    return high


def _score(difference: float, only_first: float, only_second: float, of: float) -> float:
    """Tango's equations 8 to 10: what was seen less what the difference leads to expect, in standard errors, with the
    share of the second kind that is likeliest under it."""
    a = 2 * of
    b = -only_first - only_second + (2 * of - only_first + only_second) * difference
    c = -only_second * difference * (1 - difference)
    root = math.sqrt(max(b * b - 4 * a * c, 0.0))
    share = max((root - b) / (2 * a), 0.0, -difference)
    variance = of * (2 * share + difference * (1 - difference))
    excess = only_first - only_second - of * difference
    if variance <= 0:
        return math.copysign(math.inf, excess) if excess else 0.0
    return excess / math.sqrt(variance)
