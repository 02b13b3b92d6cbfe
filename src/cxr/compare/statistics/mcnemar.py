"""McNemar's test: do two models err on equally many of the same cases? Exact, of cases that are independent; and over
patients, whose images resemble each other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr.compare.metrics.confusion import Bools, Floats, Ints

#: Where more images than this are told apart, the normal distribution stands for the exact one.
MOST_EXACT = 10_000


@dataclass(frozen=True, slots=True)
class McNemar:
    """How many cases only the first model got right, and only the second; the rest says nothing of their difference.
    `p_value` is two-sided and exact."""

    only_first: int
    only_second: int
    p_value: float


@dataclass(frozen=True, slots=True)
class ClusteredMcNemar:
    """How many patients have more images that only the first model got right, and more that only the second did; their
    other patients say nothing. `chi_square` is Obuchowski's statistic with one degree of freedom (NaN where no patient
    tells the models apart); `p_value` is two-sided and exact."""

    for_first: int
    for_second: int
    chi_square: float
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


def mcnemar_over_patients(first_right: Bools, second_right: Bools, patient: NDArray[np.intp]) -> ClusteredMcNemar:
    """The test on paired cases [N] of the patients numbered in `patient` [N].

    Of each patient, by how many images more the first model is right: D. Obuchowski, On the comparison of correlated
    proportions for clustered data, Statistics in Medicine 17 (1998) 1495-1507, takes the sum of D squared by the sum of
    D squared each, with (K - 1) / K for K patients: without that factor McNemar's chi-square when every patient has one
    image (as Yang, Sun and Hardin, Biometrical Journal 52 (2010) 638-652, write it). It looks at the share of images,
    which is what is shown, and not at the mean of patients' shares as Durkalski et al. (2003) do.

    The p-value is not that of a chi-square, which calls too much significant where a handful of patients tell two good
    models apart, but exact: were the models as good as each other, each patient's D would have the other sign as often
    (Pitman, Supplement to the JRSS 4 (1937) 119-130). With one image a patient that is the exact test of `mcnemar`.
    """
    difference = np.bincount(patient, first_right.astype(np.float64) - second_right).astype(np.int64)
    total, squares = int(difference.sum()), int(np.square(difference).sum())
    patients = len(np.unique(patient))
    return ClusteredMcNemar(
        for_first=int((difference > 0).sum()),
        for_second=int((difference < 0).sum()),
        chi_square=(patients - 1) / patients * total**2 / squares if squares else math.nan,
        p_value=_chance_of_signs(np.abs(difference[difference != 0]), abs(total)),
    )


def _chance_of_signs(sizes: Ints, total: int) -> float:
    """The chance that `sizes`, each with a sign by the toss of a coin, sum to `total` or more on either side."""
    if not total:
        return 1.0
    largest = int(sizes.sum())
    if largest > MOST_EXACT:
        # Possible sums lie two apart: one is taken off for continuity.
        return math.erfc((total - 1) / math.sqrt(2 * float(np.square(sizes).sum())))
    # The sum is twice that of the positive sizes less `largest`: the lower tail of theirs, twice for both sides.
    return min(1.0, 2 * float(_sums_of_chosen(sizes)[: (largest - total) // 2 + 1].sum()))


def _sums_of_chosen(sizes: Ints) -> Floats:
    """The chance of each sum 0.. of those sizes that a coin chooses."""
    from scipy.stats import binom  # slow to load: only where models are compared

    chance = np.ones(1)
    for size, count in zip(*np.unique(sizes, return_counts=True), strict=True):
        own = np.zeros(int(size * count) + 1)
        own[:: int(size)] = binom.pmf(np.arange(count + 1), count, 0.5)
        chance = np.convolve(chance, own)
    return chance
