"""The patient-cluster bootstrap against drawing patients by hand, and in simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr.compare.metrics import confusion as metrics
from cxr.compare.metrics.ranking import roc_auc
from cxr.compare.statistics.bootstrap import Cases, Interval, bootstrap_draws, percentile_interval
from cxr.compare.statistics.estimates import Draws
from cxr.compare.statistics.measures import WHOLE, Scored, measured

MEASURES = (*metrics.DECIDED, "auc")


def drawn_cases(seed: int, patients: int, *, images_each: int = 4, spread: float = 1.0) -> Cases:
    """Patients with one label, one to `images_each` images each, whose scores resemble each other."""
    generator = np.random.default_rng(seed)
    each = generator.integers(1, images_each + 1, size=patients)
    label = generator.integers(2, size=patients)
    label[:2] = (0, 1)
    own = generator.normal(0, spread, size=patients)
    patient = np.repeat(np.arange(patients), each)
    score = (own[patient] + label[patient] + generator.normal(0, 0.3, size=len(patient))).round(1)
    truth = label[patient].astype(np.int64)
    return Cases(truth, (score > 0.5).astype(np.int64), score, [f"p{index}" for index in patient], 2, 1)


def permuted(cases: Cases, order: np.ndarray) -> Cases:
    patients = [cases.patients[index] for index in order]
    return Cases(
        cases.truth[order], cases.predicted[order], cases.score[order], patients, cases.classes, cases.positive
    )


def by_hand(cases: Cases, *, draws: int, seed: int) -> dict[str, list[float]]:
    """The same draws, one by one: take the patients, put all their images into a new test set, measure it."""
    keys = sorted(set(cases.patients))
    chosen = np.random.default_rng(seed).integers(len(keys), size=(draws, len(keys)))
    values: dict[str, list[float]] = {name: [] for name in MEASURES}
    for row in chosen:
        images = [i for key in row for i, patient in enumerate(cases.patients) if patient == keys[key]]
        matrix = metrics.confusion_matrix(cases.truth[images], cases.predicted[images], 2)
        for name, value in metrics.threshold_metrics(matrix, 1).items():
            values[name].append(float(value))
        values["auc"].append(float(roc_auc(cases.is_positive[images], cases.score[images])))
    return values


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 9))
def test_draws_equal_resampling_patients_by_hand(seed, patients):
    cases = drawn_cases(seed, patients)
    fast = bootstrap_draws(cases, draws=12, seed=seed)
    slow = by_hand(cases, draws=12, seed=seed)
    for name in MEASURES:
        assert np.allclose(fast[name], slow[name], equal_nan=True), name


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_intervals_do_not_depend_on_the_order_of_rows(seed, random):
    cases = drawn_cases(seed, 12)
    order = list(range(len(cases.truth)))
    random.shuffle(order)
    first = bootstrap_draws(cases, draws=50)
    second = bootstrap_draws(permuted(cases, np.array(order)), draws=50)
    for name in MEASURES:
        assert np.array_equal(first[name], second[name], equal_nan=True), name


def test_the_same_seed_gives_the_same_draws_and_another_seed_others():
    cases = drawn_cases(1, 30)
    one, again, other = (bootstrap_draws(cases, draws=100, seed=seed)["auc"] for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_chunks_are_joined_to_the_number_of_draws_asked_for(monkeypatch):
    cases = drawn_cases(1, 40)
    monkeypatch.setattr("cxr.compare.statistics.bootstrap.CHUNK_WEIGHTS", 7 * len(cases.truth))
    assert all(values.shape == (100,) for values in bootstrap_draws(cases, draws=100).values())


def test_a_perfect_model_has_an_interval_without_width():
    truth = np.array([0, 0, 1, 1], dtype=np.int64)
    cases = Cases(truth, truth, truth.astype(float), ["a", "b", "c", "d"], 2, 1)
    draws = bootstrap_draws(cases, draws=200)
    assert percentile_interval(draws["accuracy"]) == Interval(1.0, 1.0, 0)
    interval = percentile_interval(draws["auc"])
    assert (interval.low, interval.high) == (1.0, 1.0)
    assert interval.undefined_draws > 0, "four patients: some draws hold one class only"


def test_an_undefined_measure_has_an_undefined_interval():
    truth = np.ones(3, dtype=np.int64)
    cases = Cases(truth, truth, np.ones(3), ["a", "b", "c"], 2, 1)
    interval = percentile_interval(bootstrap_draws(cases, draws=20)["auc"])
    assert np.isnan([interval.low, interval.high]).all()
    assert interval.undefined_draws == 20


def test_intervals_over_patients_are_wider_than_over_images_when_images_of_a_patient_agree():
    cases = drawn_cases(3, 60, images_each=8)
    as_if_independent = Cases(
        cases.truth, cases.predicted, cases.score, [str(i) for i in range(len(cases.truth))], 2, 1
    )
    widths = [
        (interval := percentile_interval(bootstrap_draws(case)["auc"])).high - interval.low
        for case in (cases, as_if_independent)
    ]
    assert widths[0] > 1.5 * widths[1]


@pytest.mark.parametrize("metric", ["accuracy", "auc"])
def test_intervals_cover_the_truth_at_about_their_nominal_rate(metric):
    population = drawn_cases(99, 40_000)
    matrix = metrics.confusion_matrix(population.truth, population.predicted, 2)
    auc = roc_auc(population.is_positive, population.score)
    truth = float({**metrics.threshold_metrics(matrix, 1), "auc": auc}[metric])
    covered = 0
    for seed in range(200):
        interval = percentile_interval(bootstrap_draws(drawn_cases(seed, 120), draws=300, seed=seed)[metric])
        covered += interval.low <= truth <= interval.high
    assert 0.89 <= covered / 200 <= 0.99


def test_an_estimate_says_how_many_draws_did_not_define_it():
    cases = Scored(
        probabilities=np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9]]),
        truth=np.array([0, 1, 1]),
        called=np.array([0, 1, 1]),
        patients=["a", "b", "c"],
        kinds=["x", "y", "y"],
        classes=("x", "y"),
        positive=1,
    )
    made = measured(cases, Draws(400, 1))
    expected = int(np.isnan(made.draws["auc", WHOLE]).sum())
    assert 0 < expected < 400
    assert made.estimate("auc").undefined_draws == expected
