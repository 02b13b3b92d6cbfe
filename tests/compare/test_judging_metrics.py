"""Metrics against brute force, against scikit-learn, and against their own laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr.compare.metrics import confusion as metrics
from cxr.compare.metrics.ranking import roc_auc

#: Few distinct scores, so that ties are common.
cases = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=40)


def arrays(drawn: list[tuple[bool, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([positive for positive, _ in drawn]), np.array([score / 6 for _, score in drawn])


def brute_force_auc(positive: np.ndarray, score: np.ndarray) -> float:
    pairs = [
        1.0 if above > below else 0.5 if above == below else 0.0
        for above in score[positive]
        for below in score[~positive]
    ]
    return float(np.mean(pairs)) if pairs else float("nan")


@given(cases)
def test_auc_is_the_share_of_pairs_in_the_right_order_ties_one_half(drawn):
    positive, score = arrays(drawn)
    expected = brute_force_auc(positive, score)
    assert roc_auc(positive, score) == pytest.approx(expected, nan_ok=True, abs=1e-12)


@given(cases, st.randoms(use_true_random=False))
def test_auc_does_not_depend_on_the_order_of_rows(drawn, random):
    shuffled = drawn.copy()
    random.shuffle(shuffled)
    first, second = roc_auc(*arrays(drawn)), roc_auc(*arrays(shuffled))
    assert np.array_equal(first, second, equal_nan=True)


@given(cases)
def test_auc_of_reversed_scores_is_the_complement(drawn):
    positive, score = arrays(drawn)
    assert roc_auc(positive, -score) == pytest.approx(1 - roc_auc(positive, score), nan_ok=True)


@given(cases, st.data())
def test_weights_count_a_case_as_often_as_they_say(drawn, data):
    positive, score = arrays(drawn)
    weights = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(score), max_size=len(score))), dtype=float)
    repeated = np.repeat(np.arange(len(score)), weights.astype(int))
    expected = brute_force_auc(positive[repeated], score[repeated])
    assert roc_auc(positive, score, weights) == pytest.approx(expected, nan_ok=True, abs=1e-12)


@given(cases)
def test_area_under_the_drawn_curve_is_the_auc(drawn):
    positive, score = arrays(drawn)
    curve = metrics.roc_curve(positive, score)
    if positive.all() or not positive.any():
        assert np.isnan(roc_auc(positive, score))
        return
    area = np.trapezoid(curve.true_positive_rate, curve.false_positive_rate)
    assert area == pytest.approx(float(roc_auc(positive, score)), abs=1e-12)
    assert (curve.false_positive_rate[0], curve.true_positive_rate[0]) == (0, 0)
    assert (curve.false_positive_rate[-1], curve.true_positive_rate[-1]) == (1, 1)


@given(cases, st.integers(0, 7))
def test_the_operating_point_lies_on_the_curve(drawn, level):
    positive, score = arrays(drawn)
    if positive.all() or not positive.any():
        return
    probabilities = np.column_stack([1 - score, score])
    called = metrics.predicted_classes(probabilities, 1, level / 6)
    matrix = metrics.confusion_matrix(positive.astype(np.int64), called, 2)
    curve = metrics.roc_curve(positive, score)
    x, y = 1 - metrics.specificity(matrix, 1), metrics.sensitivity(matrix, 1)
    on_a_side = [
        abs((x2 - x1) * (y - y1) - (x - x1) * (y2 - y1)) < 1e-9
        and min(x1, x2) - 1e-9 <= x <= max(x1, x2) + 1e-9
        and min(y1, y2) - 1e-9 <= y <= max(y1, y2) + 1e-9
        for x1, x2, y1, y2 in zip(
            curve.false_positive_rate,
            curve.false_positive_rate[1:],
            curve.true_positive_rate,
            curve.true_positive_rate[1:],
            strict=False,
        )
    ]
    assert any(on_a_side)


@pytest.mark.parametrize("classes", [2, 3])
def test_metrics_agree_with_scikit_learn(classes):
    sklearn = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(classes)
    truth = generator.integers(classes, size=400)
    probabilities = generator.dirichlet(np.ones(classes), size=400).round(2)
    probabilities[np.arange(400), truth] += 0.3
    predicted = probabilities.argmax(axis=1)
    matrix = metrics.confusion_matrix(truth, predicted, classes)
    assert np.array_equal(matrix, sklearn.confusion_matrix(truth, predicted))
    assert metrics.accuracy(matrix) == pytest.approx(sklearn.accuracy_score(truth, predicted))
    assert metrics.balanced_accuracy(matrix) == pytest.approx(sklearn.balanced_accuracy_score(truth, predicted))
    for positive in range(classes):
        one, called = truth == positive, predicted == positive
        assert metrics.sensitivity(matrix, positive) == pytest.approx(sklearn.recall_score(one, called))
        assert metrics.specificity(matrix, positive) == pytest.approx(sklearn.recall_score(~one, ~called))
        score = probabilities[:, positive]
        assert roc_auc(one, score) == pytest.approx(sklearn.roc_auc_score(one, score))


def test_roc_corners_are_scikit_learns():
    sklearn = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(0)
    positive = generator.random(300) < 0.6
    score = (generator.normal(positive * 0.8, 1)).round(1)
    false_rate, true_rate, thresholds = sklearn.roc_curve(positive, score, drop_intermediate=True)
    curve = metrics.roc_curve(positive, score)
    theirs = {(round(x, 9), round(y, 9)) for x, y in zip(false_rate, true_rate, strict=True)}
    ours = {
        (round(x, 9), round(y, 9)) for x, y in zip(curve.false_positive_rate, curve.true_positive_rate, strict=True)
    }
    assert ours <= theirs
    assert np.isinf(curve.thresholds[0])
    assert set(curve.thresholds[1:]) <= set(thresholds)


def test_the_published_matrix_of_the_five_block_net_gives_its_published_figures():
    # A public notebook's test report: accuracy 90.22 %, precision/recall .95/.78 and .88/.98 on 624 images.
    matrix = np.array([[182, 52], [9, 381]])
    assert metrics.accuracy(matrix) == pytest.approx(0.9022, abs=5e-5)
    assert metrics.specificity(matrix, 1) == pytest.approx(0.78, abs=5e-3)
    assert metrics.sensitivity(matrix, 1) == pytest.approx(0.98, abs=5e-3)


def test_a_probability_at_the_threshold_is_positive():
    probabilities = np.array([[0.6, 0.4], [0.5, 0.5], [0.1, 0.9]])
    assert metrics.predicted_classes(probabilities, 1, 0.5).tolist() == [0, 1, 1]
    assert metrics.predicted_classes(probabilities, 0, 0.5).tolist() == [0, 0, 1]


def test_three_classes_are_called_by_the_highest_probability():
    probabilities = np.array([[0.2, 0.5, 0.3], [0.4, 0.3, 0.3]])
    assert metrics.predicted_classes(probabilities, 2, 0.1).tolist() == [1, 0]


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=30))
def test_a_stack_of_matrices_gives_each_matrix_its_own_values(pairs):
    truth = np.array([first for first, _ in pairs], dtype=np.int64)
    called = np.array([second for _, second in pairs], dtype=np.int64)
    matrix = metrics.confusion_matrix(truth, called, 3)
    stacked = metrics.threshold_metrics(np.stack([matrix, matrix * 2]), 1)
    for name, value in metrics.threshold_metrics(matrix, 1).items():
        assert np.allclose(stacked[name], value, equal_nan=True)
