"""Measures of probabilities against scikit-learn, with weights against repeated cases."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr.compare.metrics import probabilities as pm
from cxr.compare.metrics.confusion import confusion_matrix, f1_score, precision
from cxr.compare.metrics.ranking import Ranking

CASES = st.lists(st.tuples(st.integers(0, 20), st.booleans(), st.integers(0, 3)), min_size=3, max_size=50)


def arrays(rows: list[tuple[int, bool, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    scores, positive, weights = zip(*rows, strict=True)
    return np.array(positive), np.array(scores) / 20, np.array(weights, dtype=np.float64)


@given(CASES)
def test_average_precision_is_scikit_learns_weights_included(rows: list[tuple[int, bool, int]]) -> None:
    positive, score, weights = arrays(rows)
    ranking = Ranking(positive, score)
    for some in (np.ones(len(score)), weights):
        if some[positive].sum():
            expected = sk.average_precision_score(positive, score, sample_weight=some)
            assert ranking(some[None]).average_precision[0] == pytest.approx(expected)
        else:
            assert np.isnan(ranking(some[None]).average_precision[0])


def test_the_precision_recall_curve_has_scikit_learns_corners() -> None:
    generator = np.random.default_rng(2)
    positive, score = generator.random(60) < 0.4, generator.integers(0, 12, 60) / 12
    curve = pm.precision_recall_curve(positive, score)
    expected_precision, expected_recall, _ = sk.precision_recall_curve(positive, score)
    assert curve.recall == pytest.approx(expected_recall[:-1][::-1])
    assert curve.precision == pytest.approx(expected_precision[:-1][::-1])


@pytest.mark.parametrize("classes", [2, 3])
def test_brier_and_log_loss_are_scikit_learns(classes: int) -> None:
    generator = np.random.default_rng(classes)
    probabilities = generator.dirichlet(np.ones(classes), 80)
    truth = generator.integers(0, classes, 80)
    weights = generator.integers(0, 4, 80).astype(np.float64)
    labels = list(range(classes))
    brier = np.average(pm.squared_errors(probabilities, truth), weights=weights)
    expected = (
        sk.brier_score_loss(truth == 1, probabilities[:, 1], sample_weight=weights)
        if classes == 2
        else (np.square(probabilities - np.eye(classes)[truth]).sum(axis=1) * weights).sum() / weights.sum()
    )
    assert brier == pytest.approx(expected)
    loss = np.average(pm.log_losses(probabilities, truth), weights=weights)
    assert loss == pytest.approx(sk.log_loss(truth, probabilities, sample_weight=weights, labels=labels))


def test_precision_and_f1_are_scikit_learns() -> None:
    generator = np.random.default_rng(4)
    truth, called = generator.integers(0, 3, 90), generator.integers(0, 3, 90)
    matrix = confusion_matrix(truth, called, 3)
    report = sk.classification_report(truth, called, output_dict=True)
    for number in range(3):
        assert precision(matrix, number) == pytest.approx(report[str(number)]["precision"])
        assert f1_score(matrix, number) == pytest.approx(report[str(number)]["f1-score"])


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_every_case_is_in_one_bin_and_the_error_is_a_share(rows: list[tuple[float, bool]]) -> None:
    probability, came_true = np.array([p for p, _ in rows]), np.array([true for _, true in rows])
    bins = pm.reliability(probability, came_true)
    assert sum(each.cases for each in bins) == len(rows)
    for each in bins:
        assert each.low - 1e-9 <= each.mean_probability <= each.high + 1e-9
    assert 0 <= pm.calibration_error(bins) <= 1


def test_probabilities_that_come_true_as_often_as_they_say_have_no_error() -> None:
    probability = np.repeat([0.25, 0.75], 4)
    came_true = np.array([1, 0, 0, 0, 1, 1, 1, 0], dtype=bool)
    assert pm.calibration_error(pm.reliability(probability, came_true)) == pytest.approx(0)
    assert pm.calibration_error(pm.reliability(probability, ~came_true)) == pytest.approx(0.5)
    assert np.isnan(pm.calibration_error(()))
