"""McNemar, Holm, exact intervals and the margin's verdict, against their definitions and published figures."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from cxr.compare.statistics.estimates import Estimate
from cxr.compare.statistics.intervals import proportion, proportions
from cxr.compare.statistics.mcnemar import mcnemar
from cxr.compare.statistics.multiplicity import holm
from cxr.compare.statistics.noninferiority import Verdict, verdict

P_VALUES = st.lists(st.floats(0, 1) | st.just(math.nan), max_size=8)


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (1, 9), (5, 5), (0, 6), (12, 3)])
def test_mcnemar_is_the_sum_of_binomial_terms(only_first, only_second):
    first = np.array([True] * only_first + [False] * only_second + [True] * 7 + [False] * 3)
    second = np.array([False] * only_first + [True] * only_second + [True] * 7 + [False] * 3)
    result = mcnemar(first, second)
    told_apart, fewer = only_first + only_second, min(only_first, only_second)
    tail = sum(Fraction(math.comb(told_apart, k), 2**told_apart) for k in range(fewer + 1))
    assert (result.only_first, result.only_second) == (only_first, only_second)
    assert result.p_value == pytest.approx(float(min(Fraction(1), 2 * tail)))
    assert mcnemar(second, first).p_value == result.p_value


def test_a_model_against_itself_has_p_1():
    right = np.array([True, False, True])
    assert mcnemar(right, right).p_value == 1


def test_holm_on_numbers_that_can_be_done_in_the_head():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(P_VALUES)
def test_holm_keeps_the_order_and_makes_no_p_value_smaller(values):
    adjusted = holm(values)
    defined = [(p, q) for p, q in zip(values, adjusted, strict=True) if not math.isnan(p)]
    assert [math.isnan(p) for p in values] == [math.isnan(q) for q in adjusted]
    assert all(p <= q <= 1 for p, q in defined)
    ordered = [q for _, q in sorted(defined)]
    assert ordered == sorted(ordered)
    if defined:
        assert min(ordered) == pytest.approx(min(1.0, len(defined) * min(p for p, _ in defined)))


# Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 17 (1998) 857-872, table I
@pytest.mark.parametrize(
    ("count", "of", "exact", "wilson"),
    [
        (81, 263, (0.2527, 0.3676), (0.2553, 0.3662)),
        (15, 148, (0.0578, 0.1617), (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1684), (0.0, 0.1611)),
        (1, 29, (0.0009, 0.1776), (0.0061, 0.1718)),
    ],
)
def test_newcombes_examples(count, of, exact, wilson):
    made = proportion(count, of)
    assert made.exact == pytest.approx(exact, abs=5.1e-5)
    assert made.wilson == pytest.approx(wilson, abs=5.1e-5)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.97])
def test_the_exact_interval_never_covers_too_little(share):
    # Over all outcomes of 40 cases, each with its own chance: no simulation.
    made = [proportion(count, 40) for count in range(41)]
    chance = binom.pmf(np.arange(41), 40, share)
    exact = sum(p for p, each in zip(chance, made, strict=True) if each.exact[0] <= share <= each.exact[1])
    wilson = sum(p for p, each in zip(chance, made, strict=True) if each.wilson[0] <= share <= each.wilson[1])
    assert exact >= 0.95
    assert wilson >= 0.9


def test_a_matrix_holds_its_proportions_and_no_case_has_none():
    made = proportions(np.array([[182, 52], [9, 381]]), 1)
    assert {name: (each.count, each.of) for name, each in made.items()} == {
        "accuracy": (563, 624),
        "sensitivity": (381, 390),
        "specificity": (182, 234),
        "ppv": (381, 433),
        "npv": (182, 191),
    }
    assert "npv" not in proportions(np.array([[0, 4], [0, 6]]), 1)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        pytest.param(0.001, 0.03, Verdict.BETTER, id="all above zero"),
        pytest.param(-0.01, 0.03, Verdict.WITHIN_MARGIN, id="zero inside, the margin outside"),
        pytest.param(-0.019, -0.001, Verdict.WITHIN_MARGIN, id="a little worse, and not inferior"),
        pytest.param(-0.02, 0.03, Verdict.NOT_SHOWN, id="the margin itself is not within"),
        pytest.param(-0.05, 0.03, Verdict.NOT_SHOWN, id="both inside"),
        pytest.param(-0.05, -0.001, Verdict.WORSE, id="below zero, the margin inside"),
        pytest.param(-0.05, -0.03, Verdict.WORSE, id="beyond the margin"),
        pytest.param(0.0, 0.0, Verdict.WITHIN_MARGIN, id="no difference at all"),
        pytest.param(math.nan, math.nan, Verdict.NOT_SHOWN, id="not defined"),
    ],
)
def test_the_interval_decides(low, high, said):
    assert verdict(Estimate(0.0, low, high), 0.02, measure="auc") is said
    assert verdict(Estimate(0.0, -high, -low), 0.02, measure="brier") is said, "of errors less is better"
