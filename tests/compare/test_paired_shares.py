"""The score interval of a paired difference: against published figures and its likelihood, and where none differ."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr.compare.statistics.paired_shares import paired_shares, tango_interval

Z_95 = NormalDist().inv_cdf(0.975)


def test_published_intervals():
    # Fagerland, Lydersen and Laake, Recommended tests and confidence intervals for paired binomial proportions,
    # Statistics in Medicine 33 (2014) 2850-2875: airway hyper-responsiveness before and after transplantation.
    assert tango_interval(1, 7, 21) == pytest.approx((-0.517, -0.026), abs=5.1e-4)
    # scoreci.mp(25, 28, 618, 0.9) of R's PropCIs, whose difference is the second count less the first.
    assert tango_interval(28, 25, 618, level=0.9) == pytest.approx((-0.0148, 0.0247), abs=5.1e-5)


@pytest.mark.parametrize("of", [20, 428, 428.5])
def test_where_nothing_was_told_apart_the_interval_has_a_width_that_can_be_written_down(of):
    end = Z_95**2 / (of + Z_95**2)
    assert tango_interval(0, 0, of) == pytest.approx((-end, end))


def test_where_all_was_told_apart_one_end_is_1():
    low, high = tango_interval(20, 0, 20)
    assert high == 1
    assert low == pytest.approx((20 - Z_95**2) / (20 + Z_95**2))


def likeliest_score(difference: float, first: int, second: int, of: int) -> float:
    """The score with the nuisance share found by trying a hundred thousand: no formula of the maximum."""
    low, high = max(0.0, -difference), (1 - difference) / 2
    share = np.linspace(low, high, 100_003)[1:-1]
    likelihood = (
        first * np.log(share + difference)
        + second * np.log(share)
        + (of - first - second) * np.log(1 - 2 * share - difference)
    )
    best = float(share[likelihood.argmax()])
    return (first - second - of * difference) / math.sqrt(of * (2 * best + difference * (1 - difference)))


@pytest.mark.parametrize(("first", "second", "of"), [(3, 1, 40), (9, 2, 60), (1, 1, 30), (12, 20, 100)])
def test_its_ends_are_where_the_score_test_begins_to_reject(first, second, of):
    low, high = tango_interval(first, second, of)
    assert likeliest_score(low, first, second, of) == pytest.approx(Z_95, abs=2e-3)
    assert likeliest_score(high, first, second, of) == pytest.approx(-Z_95, abs=2e-3)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 60), st.sampled_from([0.9, 0.95, 0.99]))
def test_it_holds_what_was_seen_turns_with_the_models_and_grows_with_the_level(first, second, neither, level):
    of = max(first + second + neither, 1)
    low, high = tango_interval(first, second, of, level=level)
    assert -1 <= low <= (first - second) / of <= high <= 1
    assert tango_interval(second, first, of, level=level) == pytest.approx((-high, -low), abs=1e-9)
    wider = tango_interval(first, second, of, level=0.995)
    assert wider[0] <= low + 1e-9
    assert high <= wider[1] + 1e-9


def test_it_covers_at_its_level_where_few_cases_are_told_apart():
    # Over all outcomes of 50 cases, each with its own chance: no simulation.
    for share_first, share_second in ((0.02, 0.02), (0.05, 0.01), (0.1, 0.02)):
        covered = 0.0
        for first in range(51):
            for second in range(51 - first):
                chance = (
                    math.comb(50, first)
                    * math.comb(50 - first, second)
                    * share_first**first
                    * share_second**second
                    * (1 - share_first - share_second) ** (50 - first - second)
                )
                if chance < 1e-7:
                    continue
                low, high = tango_interval(first, second, 50)
                covered += chance * (low <= share_first - share_second <= high)
        assert 0.93 <= covered <= 0.995, (share_first, share_second)


def test_images_of_a_patient_count_for_one_and_alone_for_themselves():
    first = np.array([True] * 8 + [True, False])
    second = np.array([True] * 8 + [False, True])
    alone = paired_shares(first, second, np.arange(10))
    assert (alone.only_first, alone.only_second, alone.of, alone.patients_told_apart) == (1, 1, 10, 2)
    in_pairs = paired_shares(first, second, np.repeat(np.arange(5), 2))
    assert (in_pairs.only_first, in_pairs.of, in_pairs.patients_told_apart) == (0.5, 5, 1)
    uneven = paired_shares(first, second, np.array([0] * 7 + [1, 2, 3]))
    assert uneven.of == pytest.approx(100 / 52)
    assert paired_shares(first[:0], second[:0], np.zeros(0, dtype=np.intp)) is None
