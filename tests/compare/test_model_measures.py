"""All measures of a model: against scikit-learn, under permutation, with weights against copies, between models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cxr.compare.metrics.confusion import predicted_classes
from cxr.compare.metrics.probabilities import calibration_error, reliability, stated
from cxr.compare.metrics.ranking import Ranking
from cxr.compare.statistics.against_reference import against_reference
from cxr.compare.statistics.bootstrap import patient_numbers
from cxr.compare.statistics.differences import bootstrap_p_value
from cxr.compare.statistics.estimates import Draws
from cxr.compare.statistics.measures import HALF, ORACLE, WHOLE, Asked, Scored, measured_together, values_of

ASKED = Asked(prevalence=0.1, sensitivity=0.9)


def drawn(seed: int, *, classes: int = 2, patients: int = 40, positive: int = 1, quality: float = 1.5) -> Scored:
    """Patients of one class each, with one to three images; probabilities rounded, so that there are ties. The patients
    depend on `patients` only, the scores on the seed."""
    fixed = np.random.default_rng(patients + classes)
    label = fixed.integers(classes, size=patients)
    label[: 2 * classes] = np.repeat(np.arange(classes), 2)
    patient = np.repeat(np.arange(patients), fixed.integers(1, 4, patients))
    truth = label[patient]
    generator = np.random.default_rng(seed)
    logits = quality * np.eye(classes)[truth] + generator.normal(0, 1, (len(truth), classes))
    probabilities = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).round(2)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    names = tuple("ABC"[:classes])
    return Scored(
        probabilities=probabilities,
        truth=truth,
        called=predicted_classes(probabilities, positive, 0.4),
        patients=[f"p{number:03d}" for number in patient],
        kinds=[f"{names[each]}/{'x' if number % 2 else ''}" for each, number in zip(truth, patient, strict=True)],
        classes=names,
        positive=positive,
    )


def rows_of(cases: Scored, rows: np.ndarray) -> Scored:
    return replace(
        cases,
        probabilities=cases.probabilities[rows],
        truth=cases.truth[rows],
        called=cases.called[rows],
        patients=[cases.patients[row] for row in rows],
        kinds=[cases.kinds[row] for row in rows],
    )


@pytest.mark.parametrize("positive", [0, 1])
def test_two_classes_are_measured_as_scikit_learn_does(positive):
    cases = drawn(3, positive=positive)
    values = measured_together([cases], Draws(2, 1), ASKED)[0].values
    truth, score = cases.truth == positive, cases.score
    for point, called in ((WHOLE, cases.called == positive), (HALF, score >= 0.5)):
        found, cleared = sk.recall_score(truth, called), sk.recall_score(~truth, ~called)
        expected = {
            "accuracy": sk.accuracy_score(truth, called),
            "balanced_accuracy": sk.balanced_accuracy_score(truth, called),
            "sensitivity": found,
            "specificity": cleared,
            "ppv": sk.precision_score(truth, called),
            "npv": sk.precision_score(~truth, ~called),
            "f1": sk.f1_score(truth, called),
            "ppv_at_prevalence": found * 0.1 / (found * 0.1 + (1 - cleared) * 0.9),
            "npv_at_prevalence": cleared * 0.9 / (cleared * 0.9 + (1 - found) * 0.1),
        }
        assert {name: values[name, point] for name in expected} == pytest.approx(expected)
    assert values["auc", WHOLE] == pytest.approx(sk.roc_auc_score(truth, score))
    assert values["average_precision", WHOLE] == pytest.approx(sk.average_precision_score(truth, score))
    assert values["brier", WHOLE] == pytest.approx(sk.brier_score_loss(truth, score))
    assert values["log_loss", WHOLE] == pytest.approx(sk.log_loss(cases.truth, cases.probabilities))
    bins = reliability(*stated(cases.probabilities, cases.truth, positive))
    assert values["calibration_error", WHOLE] == pytest.approx(calibration_error(bins))


def test_three_classes_have_macro_measures_and_no_point_but_their_own():
    cases = drawn(4, classes=3)
    values = measured_together([cases], Draws(2, 1), ASKED)[0].values
    one_hot = np.eye(3)[cases.truth]
    assert values["macro_auc", WHOLE] == pytest.approx(sk.roc_auc_score(one_hot, cases.probabilities))
    assert values["macro_average_precision", WHOLE] == pytest.approx(
        sk.average_precision_score(one_hot, cases.probabilities)
    )
    assert values["macro_f1", WHOLE] == pytest.approx(sk.f1_score(cases.truth, cases.called, average="macro"))
    assert not {of for _, of in values} & {HALF, ORACLE}
    bins = reliability(*stated(cases.probabilities, cases.truth, 1))
    assert values["calibration_error", WHOLE] == pytest.approx(calibration_error(bins))


@pytest.mark.parametrize("positive", [0, 1])
@pytest.mark.parametrize("least", [0.5, 0.9, 0.95, 0.999])
def test_the_oracle_point_is_the_largest_threshold_that_reaches_the_sensitivity(positive, least):
    cases = drawn(5, positive=positive)
    made = measured_together([cases], Draws(2, 1), Asked(sensitivity=least))[0]
    truth, score = cases.is_positive, cases.score
    expected = max(level for level in score if (score[truth] >= level).mean() >= least)
    assert made.oracle_threshold == expected
    assert made.values["sensitivity", ORACLE] == pytest.approx((score[truth] >= expected).mean())
    assert made.values["specificity", ORACLE] == pytest.approx((score[~truth] < expected).mean())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 3))
@example(38, 2)  # a resample without a positive case
def test_draws_are_the_measures_of_copied_patients(seed, classes):
    cases = drawn(seed, classes=classes, patients=12)
    made = measured_together([cases], Draws(4, seed), ASKED)[0]
    patient, patients = patient_numbers(cases.patients)
    for number, chosen in enumerate(np.random.default_rng(seed).integers(patients, size=(4, patients))):
        copies = np.concatenate([np.flatnonzero(patient == each) for each in chosen])
        expected = measured_together([rows_of(cases, copies)], Draws(1, 0), ASKED)[0].values
        for name, value in expected.items():
            assert made.draws[name][number] == pytest.approx(value, nan_ok=True), name


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.randoms(use_true_random=False), st.integers(2, 3))
def test_the_order_of_rows_changes_nothing(seed, random, classes):
    models = [drawn(seed, classes=classes, patients=14), drawn(seed + 1, classes=classes, patients=14)]
    order = list(range(len(models[0].truth)))
    random.shuffle(order)
    results = []
    for each in (models, [rows_of(model, np.array(order)) for model in models]):
        judged = measured_together(each, Draws(30, 2), ASKED)
        results.append(against_reference(["a", "b"], each, judged, reference=0, reason="").models[0])
    first, second = results
    assert first.verdict is second.verdict
    assert first.mcnemar == second.mcnemar
    assert first.delong_patients.p_value == pytest.approx(second.delong_patients.p_value, nan_ok=True)
    for name, difference in first.differences.items():
        other = second.differences[name]
        assert (difference.value, difference.low, difference.high) == pytest.approx(
            (other.value, other.low, other.high), nan_ok=True, abs=1e-12
        )


@pytest.mark.parametrize("classes", [2, 3])
def test_a_model_against_itself_differs_by_nothing_with_p_1(classes):
    cases = drawn(6, classes=classes)
    judged = measured_together([cases, cases], Draws(100, 1), ASKED)
    against = against_reference(["a", "b"], [cases, cases], judged, reference=0, reason="").models[0]
    for name, difference in against.differences.items():
        assert (difference.value, difference.low, difference.high) == (0, 0, 0), name
        assert (difference.p_value, difference.p_holm) == (1, 1)
        assert difference.undefined_draws == np.isnan(judged[0].draws[name]).sum()
    assert {test.p_value for test in against.tests.values()} == {1}
    assert against.verdict == "within the margin"


def test_holm_is_over_the_models_and_each_test_has_its_own_family():
    models = [drawn(seed, quality=quality) for seed, quality in ((1, 1.5), (2, 0.3), (3, 1.4))]
    judged = measured_together(models, Draws(400, 1), Asked())
    against = against_reference(["a", "b", "c"], models, judged, reference=0, reason="").models
    assert [model.name for model in against] == ["b", "c"]
    for test in against[0].tests:
        raw, adjusted = ([getattr(model.tests[test], field) for model in against] for field in ("p_value", "p_holm"))
        assert min(adjusted) == pytest.approx(min(1, 2 * min(raw)))
    assert against[0].verdict == "worse"
    assert against[0].differences["auc", WHOLE].high < 0
    assert against[0].tests["delong_patients"].p_holm < 0.05


def test_a_bootstrap_p_value_is_never_0_and_counts_both_sides():
    assert bootstrap_p_value(np.arange(1.0, 100)) == pytest.approx(2 / 100)
    assert bootstrap_p_value(np.array([-1.0, 1.0, 2.0, np.nan])) == pytest.approx(2 * 2 / 4)
    assert bootstrap_p_value(np.zeros(5)) == 1
    assert np.isnan(bootstrap_p_value(np.array([np.nan])))


@pytest.mark.slow
@pytest.mark.parametrize("measure", ["auc", "accuracy", "brier"])
def test_intervals_of_differences_cover_them_at_about_their_nominal_rate(measure):
    # The models are drawn alike, so that the true difference is nothing.
    covered, rounds = 0, 150
    for seed in range(rounds):
        models = [drawn(1000 + seed, patients=100), drawn(9000 + seed, patients=100)]
        judged = measured_together(models, Draws(200, seed), Asked(every_class=False))
        draws = judged[0].draws[measure, WHOLE] - judged[1].draws[measure, WHOLE]
        low, high = np.percentile(draws, [2.5, 97.5])
        covered += low <= 0 <= high
    assert 0.89 <= covered / rounds <= 0.99


def test_blocks_of_weights_are_joined(monkeypatch):
    cases = drawn(8)
    weights = np.random.default_rng(1).integers(0, 3, (11, len(cases.truth))).astype(float)
    ranking = Ranking(cases.is_positive, cases.score)
    whole = ranking(weights, sensitivity=0.9)
    monkeypatch.setattr("cxr.compare.metrics.ranking.BLOCK_WEIGHTS", 2 * len(cases.truth))
    parts = ranking(weights, sensitivity=0.9)
    assert np.array_equal(whole.auc, parts.auc)
    assert np.array_equal(whole.matrices, parts.matrices)
    assert ranking(weights.reshape(1, 11, -1)).auc.shape == (1, 11)
    assert np.isnan(Ranking(np.ones(3, bool), np.arange(3.0))(np.ones((2, 3)), sensitivity=0.5).auc).all()
    assert np.isnan(Ranking(np.zeros(3, bool), np.arange(3.0))(np.ones((2, 3)), sensitivity=0.5).matrices).all()


def test_values_alone_are_those_of_the_whole():
    cases = drawn(9)
    assert values_of(cases)["auc", WHOLE] == measured_together([cases], Draws(1, 1))[0].values["auc", WHOLE]


def separated(patients: int, *, top: float, negatives: int | None = None) -> Scored:
    """One image a patient; every positive scores above every negative, whatever `top` is."""
    count = patients if negatives is None else negatives
    truth = np.repeat([0, 1], [count, patients])
    score = np.concatenate([np.linspace(0.01, 0.3, count), np.linspace(0.6, top, patients)])
    return Scored(
        probabilities=np.stack([1 - score, score], axis=1),
        truth=truth,
        called=(score >= 0.5).astype(np.int64),
        patients=[f"p{number}" for number in range(len(truth))],
        kinds=["x"] * len(truth),
        classes=("A", "B"),
        positive=1,
    )


@pytest.mark.parametrize(
    ("patients", "negatives", "other_order", "measure", "said", "because"),
    [
        pytest.param(40, None, True, "auc", "not shown", "no width", id="two perfect rankings of other orders"),
        pytest.param(40, None, False, "auc", "within the margin", "", id="the same ranking"),
        pytest.param(40, None, True, "accuracy", "not shown", "", id="the same calls of 80 patients"),
        pytest.param(120, None, True, "accuracy", "within the margin", "", id="the same calls of 240 patients"),
        pytest.param(40, None, True, "f1", "not shown", "no width", id="the same calls, by a measure that is no share"),
        pytest.param(40, 9, True, "auc", "not shown", "9 patients of A", id="few patients of a class"),
        pytest.param(9, 40, True, "brier", "not shown", "9 patients of B", id="few positive patients"),
        pytest.param(3, 3, False, "auc", "within the margin", "", id="few patients, and nothing differs"),
    ],
)
def test_no_verdict_rests_on_an_interval_without_width_or_on_few_patients(
    patients, negatives, other_order, measure, said, because
):
    first = separated(patients, top=0.9, negatives=negatives)
    second = separated(patients, top=0.99, negatives=negatives)
    if other_order:
        score = np.where(second.truth == 1, 1.6 - second.score, second.score)
        second = replace(second, probabilities=np.stack([1 - score, score], axis=1))
    judged = measured_together([first, second], Draws(100, 1), Asked())
    made = against_reference(["a", "b"], [first, second], judged, reference=0, reason="", measure=measure).models[0]
    assert made.verdict == said
    assert (because in made.unfounded) if because else not made.unfounded
