"""Temperature scaling against SciPy's minimiser and against data whose temperature is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, logit
from sklearn.metrics import log_loss

from cxr.bundle import Calibration
from cxr.local_baseline.judging.calibration import FLOOR, calibrated, fit_temperature
from cxr.local_baseline.judging.threshold import roc_auc

TEMPERATURE = Calibration("temperature", 2.0, "hand", "nothing", 0, 0.0, 0.0)


def overconfident(temperature: float, *, classes: int = 2, count: int = 4_000, seed: int = 1) -> tuple:
    """Probabilities of a model that is too sure of itself by `temperature`, and truths drawn from the right ones."""
    generator = np.random.default_rng(seed)
    scores = generator.normal(0, 1.5, (count, classes))
    right = np.exp(log_softmax(scores, axis=1))
    truth = (generator.random(count)[:, None] > right.cumsum(axis=1)).sum(axis=1).clip(0, classes - 1)
    return np.exp(log_softmax(scores * temperature, axis=1)), truth.astype(np.int64)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5, 4.0])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_temperature_that_spoilt_the_probabilities_is_found(temperature: float, classes: int) -> None:
    probabilities, truth = overconfident(temperature, classes=classes)
    found = fit_temperature(probabilities, truth, "validation")
    assert found is not None
    assert found.temperature == pytest.approx(temperature, rel=0.1)
    assert (found.method, found.chosen_on, found.images) == ("temperature", "validation", 4_000)
    labels = list(range(classes))
    assert found.cross_entropy_before == pytest.approx(loss(probabilities, truth, 1.0))
    after = log_loss(truth, calibrated(probabilities, found), labels=labels)
    assert found.cross_entropy == pytest.approx(after, abs=1e-6)
    assert after <= found.cross_entropy_before


@given(st.lists(st.tuples(st.floats(-6, 6), st.booleans()), min_size=4, max_size=40))
def test_no_temperature_is_better(rows: list[tuple[float, bool]]) -> None:
    p, truth = expit(np.array([score for score, _ in rows])), np.array([positive for _, positive in rows]).astype(int)
    probabilities = np.stack([1 - p, p], axis=1)
    found = fit_temperature(probabilities, truth, "validation")
    if found is None:  # one class, or the surer the better
        one_class = len(set(truth)) < 2
        assert one_class or loss(probabilities, truth, 0.1) <= loss(probabilities, truth, 1.0) + 1e-9
        return
    best = minimize_scalar(lambda beta: loss(probabilities, truth, 1 / beta), bounds=(1 / 20, 1e3), method="bounded")
    assert found.cross_entropy <= best.fun + 1e-6


def loss(probabilities: np.ndarray, truth: np.ndarray, temperature: float) -> float:
    scores = log_softmax(np.log(np.clip(probabilities, FLOOR, 1)) / temperature, axis=1)
    return float(-scores[np.arange(len(truth)), truth].mean())


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0.6, 15))
def test_two_classes_are_the_sigmoid_of_the_divided_logit(values: list[float], temperature: float) -> None:
    p = np.array(values)
    made = calibrated(np.stack([1 - p, p], axis=1), replace(TEMPERATURE, temperature=temperature))
    assert made.sum(axis=1) == pytest.approx(1.0)
    inside = np.clip(p, FLOOR, 1 - FLOOR)
    assert made[:, 1] == pytest.approx(expit(logit(inside) / temperature), abs=1e-7)
    order = np.argsort(p, kind="stable")
    assert (np.diff(made[order, 1]) >= 0).all()


def test_the_roc_curve_stays_as_it_is() -> None:
    probabilities, truth = overconfident(3.0)
    found = fit_temperature(probabilities, truth, "validation")
    after = calibrated(probabilities, found)[:, 1]
    assert roc_auc(after, truth == 1) == roc_auc(probabilities[:, 1], truth == 1)
    assert not np.allclose(after, probabilities[:, 1], atol=0.05)


def test_without_a_calibration_nothing_changes() -> None:
    probabilities = np.array([[0.0, 1.0], [0.3, 0.7]])
    assert calibrated(probabilities, None) is probabilities


@pytest.mark.parametrize(
    ("p", "truth"),
    [([0.1, 0.2, 0.9], [0, 0, 1]), ([0.2, 0.9], [1, 1]), ([], [])],
    ids=["all right", "one class", "none"],
)
def test_where_no_temperature_is_best_there_is_none(p: list[float], truth: list[int]) -> None:
    values = np.array(p, dtype=np.float64)
    assert (
        fit_temperature(np.stack([1 - values, values], axis=1), np.array(truth, dtype=np.int64), "validation") is None
    )


def test_a_model_that_knows_less_than_nothing_is_levelled() -> None:
    p = np.array([0.9, 0.95, 0.1, 0.05])
    found = fit_temperature(np.stack([1 - p, p], axis=1), np.array([0, 0, 1, 1]), "validation")
    assert found is not None
    assert found.temperature == pytest.approx(20.0)


@pytest.mark.parametrize(
    "changes", [{"method": "isotonic"}, {"temperature": 0.0}, {"temperature": float("nan")}], ids=str
)
def test_a_calibration_that_is_none_is_refused(changes: dict) -> None:
    with pytest.raises(ValueError, match=r"not known|not a positive number"):
        replace(TEMPERATURE, **changes)
