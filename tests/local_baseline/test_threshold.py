"""AUC against scikit-learn, the Youden threshold against trying every threshold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from cxr.errors import UsageError
from cxr.local_baseline.judging.threshold import roc_auc, sensitivity_threshold, youden_threshold

SCORED = st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=2, max_size=60).filter(
    lambda rows: len({positive for _, positive in rows}) == 2
)


def arrays(rows: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([score / 20 for score, _ in rows]), np.array([positive for _, positive in rows])


def youden(scores: np.ndarray, positive: np.ndarray, threshold: float) -> float:
    called = scores >= threshold
    return float(called[positive].mean() - called[~positive].mean())


@given(SCORED)
def test_auc_is_scikit_learns(rows: list[tuple[int, bool]]) -> None:
    scores, positive = arrays(rows)
    assert roc_auc(scores, positive) == pytest.approx(roc_auc_score(positive, scores))


@given(SCORED)
def test_no_threshold_has_a_larger_youden_index(rows: list[tuple[int, bool]]) -> None:
    scores, positive = arrays(rows)
    chosen = youden_threshold(scores, positive, "validation")
    best = max(youden(scores, positive, threshold) for threshold in [*np.unique(scores), 2.0])
    assert youden(scores, positive, chosen.value) == pytest.approx(max(best, 0.0))
    assert chosen.sensitivity == pytest.approx((scores >= chosen.value)[positive].mean())
    assert chosen.specificity == pytest.approx((scores < chosen.value)[~positive].mean())


def test_the_threshold_lies_midway_between_separated_classes() -> None:
    chosen = youden_threshold(np.array([0.1, 0.2, 0.6, 0.9]), np.array([False, False, True, True]), "validation")
    assert chosen.value == pytest.approx(0.4)
    assert (chosen.chosen_by, chosen.chosen_on) == ("max-youden", "validation")


def test_one_class_gives_one_half_and_no_auc() -> None:
    scores, positive = np.array([0.1, 0.9]), np.array([True, True])
    assert youden_threshold(scores, positive, "validation").value == 0.5
    assert math.isnan(roc_auc(scores, positive))


@given(SCORED, st.sampled_from([0.01, 0.5, 0.9, 0.95, 1.0]))
def test_no_larger_threshold_calls_fewer_and_still_finds_the_share(rows: list[tuple[int, bool]], least: float) -> None:
    scores, positive = arrays(rows)
    chosen = sensitivity_threshold(scores, positive, least, "validation")
    found = (scores >= chosen.value)[positive].mean()
    assert found >= least
    assert chosen.sensitivity == pytest.approx(found)
    assert chosen.specificity == pytest.approx((scores < chosen.value)[~positive].mean())
    larger = [value for value in np.unique(scores) if value > chosen.value]
    fewer = [value for value in larger if (scores >= value).sum() < (scores >= chosen.value).sum()]
    assert all((scores >= value)[positive].mean() < least for value in fewer)


def test_a_sensitivity_names_itself() -> None:
    chosen = sensitivity_threshold(np.array([0.1, 0.4, 0.8]), np.array([False, True, True]), 0.95, "validation")
    assert (chosen.value, chosen.chosen_by) == (pytest.approx(0.25), "sensitivity of at least 95 %")


@pytest.mark.parametrize("least", [0.0, -1.0, 1.5, math.nan])
def test_a_sensitivity_that_is_no_share_is_refused(least: float) -> None:
    with pytest.raises(UsageError, match="more than 0 and at most 1"):
        sensitivity_threshold(np.array([0.1, 0.9]), np.array([False, True]), least, "validation")
