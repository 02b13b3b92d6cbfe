"""AUC against scikit-learn, the Youden threshold against trying every threshold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from cxr.local_baseline.threshold import roc_auc, youden_threshold

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
