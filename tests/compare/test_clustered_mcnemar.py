"""McNemar's test over patients: against loops, against tossing every coin, as McNemar's own, and in simulation."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cxr.compare.statistics import mcnemar as module
from cxr.compare.statistics.mcnemar import mcnemar, mcnemar_over_patients

#: Patients as lists of images: whether the first and the second model are right.
PATIENTS = st.lists(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=4), min_size=2, max_size=9)


def rows(patients):
    """The images of all patients, one row an image: first right, second right, patient's number."""
    images = [(first, second, number) for number, each in enumerate(patients) for first, second in each]
    first, second, patient = (np.array(column) for column in zip(*images, strict=True))
    return first.astype(bool), second.astype(bool), patient


def obuchowski(patients) -> float:
    """Obuchowski's statistic as she writes it, in loops: the variances of both proportions and their covariance from
    the residuals of clusters about the proportion that both have under the null."""
    count, images = len(patients), sum(map(len, patients))
    p_first = sum(first for each in patients for first, _ in each) / images
    p_second = sum(second for each in patients for _, second in each) / images
    p_both = (p_first + p_second) / 2
    var_first = var_second = covariance = 0.0
    for each in patients:
        residual_first = sum(first for first, _ in each) - len(each) * p_both
        residual_second = sum(second for _, second in each) - len(each) * p_both
        var_first += residual_first**2
        var_second += residual_second**2
        covariance += residual_first * residual_second
    variance = count / (count - 1) * (var_first + var_second - 2 * covariance) / images**2
    return (p_first - p_second) ** 2 / variance


def tossed(patients) -> float:
    """The two-sided p-value by all ways in which the patients' differences can have their signs."""
    differences = [sum(first - second for first, second in each) for each in patients]
    seen = abs(sum(differences))
    sums = [
        abs(sum(sign * size for sign, size in zip(signs, differences, strict=True)))
        for signs in product((-1, 1), repeat=len(differences))
    ]
    return sum(each >= seen for each in sums) / len(sums)


@settings(max_examples=60, deadline=None)
@given(PATIENTS)
def test_the_statistic_is_obuchowskis_and_the_p_value_that_of_all_signs(patients):
    result = mcnemar_over_patients(*rows(patients))
    assert result.p_value == pytest.approx(tossed(patients))
    if math.isnan(result.chi_square):
        assert all(sum(first - second for first, second in each) == 0 for each in patients)
    else:
        assert result.chi_square == pytest.approx(obuchowski(patients))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60))
def test_with_one_image_a_patient_it_is_mcnemars_test(images):
    first, second, patient = rows([[image] for image in images])
    result, plain = mcnemar_over_patients(first, second, patient), mcnemar(first, second)
    assert (result.for_first, result.for_second) == (plain.only_first, plain.only_second)
    assert result.p_value == pytest.approx(plain.p_value)
    assume(plain.only_first + plain.only_second)
    uncorrected = (plain.only_first - plain.only_second) ** 2 / (plain.only_first + plain.only_second)
    assert result.chi_square * len(images) / (len(images) - 1) == pytest.approx(uncorrected)


@settings(max_examples=40, deadline=None)
@given(PATIENTS, st.randoms(use_true_random=False))
def test_neither_the_order_of_rows_nor_that_of_the_models_changes_it(patients, random):
    first, second, patient = rows(patients)
    result = mcnemar_over_patients(first, second, patient)
    order = list(range(len(patient)))
    random.shuffle(order)
    assert mcnemar_over_patients(first[order], second[order], patient[order]) == result
    swapped = mcnemar_over_patients(second, first, patient)
    assert (swapped.for_first, swapped.for_second) == (result.for_second, result.for_first)
    assert swapped.p_value == result.p_value


def test_models_that_are_right_on_the_same_images_have_p_1():
    right = np.array([True, False, True, True])
    result = mcnemar_over_patients(right, right, np.array([0, 0, 1, 2]))
    assert (result.for_first, result.for_second, result.p_value) == (0, 0, 1.0)
    assert math.isnan(result.chi_square)
    empty = np.zeros(0, dtype=bool)
    assert mcnemar_over_patients(empty, empty, np.zeros(0, dtype=np.intp)).p_value == 1


def test_four_patients_for_one_model_are_not_significant_although_their_chi_square_is():
    first, second, patient = rows([[(True, False)] * 3] * 4 + [[(True, True)]] * 40)
    result = mcnemar_over_patients(first, second, patient)
    assert result.p_value == pytest.approx(2 / 2**4)
    assert math.erfc(math.sqrt(result.chi_square / 2)) < 0.05
    assert mcnemar(first, second).p_value < 0.001, "twelve images, as if they were of twelve patients"


def test_many_images_told_apart_are_judged_by_the_normal_distribution_as_by_the_exact_one(monkeypatch):
    generator = np.random.default_rng(4)
    patient = np.repeat(np.arange(2_000), generator.integers(1, 4, 2_000))
    first, second = (generator.random(len(patient)) < share for share in (0.83, 0.80))
    exact = mcnemar_over_patients(first, second, patient)
    monkeypatch.setattr(module, "MOST_EXACT", 10)
    assert mcnemar_over_patients(first, second, patient).p_value == pytest.approx(exact.p_value, rel=0.02)
    assert 0.0001 < exact.p_value < 0.2


def test_false_alarms_stay_at_their_level_where_mcnemars_do_not():
    # Two models as good as each other; a patient's four images are mostly told apart all alike.
    over_images = over_patients = 0
    rounds, patients, images = 1_000, 120, 4
    generator = np.random.default_rng(11)
    patient = np.repeat(np.arange(patients), images)
    for _ in range(rounds):
        apart = np.repeat(generator.random(patients) < 0.3, images) & (generator.random(len(patient)) < 0.9)
        for_first = np.repeat(generator.integers(2, size=patients) == 1, images)
        first, second = ~(apart & ~for_first), ~(apart & for_first)
        over_images += mcnemar(first, second).p_value < 0.05
        over_patients += mcnemar_over_patients(first, second, patient).p_value < 0.05
    assert over_images / rounds > 0.2
    assert 0.03 <= over_patients / rounds <= 0.065
