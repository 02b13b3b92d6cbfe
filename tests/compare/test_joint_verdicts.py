"""Verdicts on several models at once, verdicts where few patients tell two models apart, and which test is named."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from cxr.compare.report import findings, render_report, words
from cxr.compare.results.document import results
from cxr.compare.results.tables import markdown_table
from cxr.compare.statistics.against_reference import against_reference
from cxr.compare.statistics.bootstrap import percentile_interval
from cxr.compare.statistics.differences import difference_of
from cxr.compare.statistics.estimates import Draws, Estimate
from cxr.compare.statistics.measures import WHOLE, Asked, Scored, measured_together
from cxr.compare.statistics.multiplicity import joint_level
from cxr.compare.statistics.noninferiority import Verdict, verdict


def scored_as(score: np.ndarray, truth: np.ndarray, patients: np.ndarray) -> Scored:
    return Scored(
        probabilities=np.stack([1 - score, score], axis=1),
        truth=truth,
        called=(score >= 0.5).astype(np.int64),
        patients=[f"p{number:04d}" for number in patients],
        kinds=["x"] * len(truth),
        classes=("A", "B"),
        positive=1,
    )


def models_alike(count: int, seed: int, patients: int = 100) -> list[Scored]:
    """Models whose scores are drawn alike, of patients with one or two images."""
    generator = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), np.arange(patients) % 2 + 1)
    truth = (patient // 2) % 2
    own = generator.normal(0, 0.4, patients)[patient]
    made = []
    for _ in range(count):
        logit = 2 * truth - 1 + own + generator.normal(0, 0.7, len(truth))
        made.append(scored_as(1 / (1 + np.exp(-logit)), truth, patient))
    return made


def held_against(models: list[Scored], *, draws: int = 400, seed: int = 1, **asked):
    judged = measured_together(models, Draws(draws, seed), Asked(every_class=False))
    names = [f"m{number}" for number in range(len(models))]
    return against_reference(names, models, judged, reference=0, reason="", **asked), judged


@pytest.mark.parametrize(("models", "level"), [(1, 0.95), (2, 0.975), (5, 0.99), (0, 0.95)])
def test_intervals_of_several_models_share_the_error_rate(models, level):
    assert joint_level(models) == pytest.approx(level)


@pytest.mark.parametrize("measure", ["brier", "auc"])
def test_the_verdict_rests_on_the_joint_interval_and_the_shown_one_stays_95_percent(measure):
    against, judged = held_against(models_alike(4, 3), measure=measure)
    assert against.joint_level == pytest.approx(1 - 0.05 / 3)
    for number, model in enumerate(against.models, start=1):
        pair, shown = (judged[number], judged[0]), model.differences[measure, WHOLE]
        for estimate, level in ((shown.estimate, 0.95), (model.joint, 1 - 0.05 / 3)):
            expected = difference_of((measure, WHOLE), *pair, {}, level=level)
            assert (estimate.low, estimate.high) == (expected.low, expected.high)
        draws = pair[0].draws[measure, WHOLE] - pair[1].draws[measure, WHOLE]
        low, high = np.percentile(draws, [2.5 / 3, 100 - 2.5 / 3])
        assert model.joint.low == pytest.approx(low) if measure == "brier" else model.joint.low <= low
        assert model.joint.high == pytest.approx(high) if measure == "brier" else model.joint.high >= high
        assert model.joint.low < shown.low < shown.high < model.joint.high
        assert model.verdict is verdict(model.joint, 0.02, measure=measure)
        assert model.verdict_alone is verdict(shown.estimate, 0.02, measure=measure)


def test_with_one_model_nothing_is_adjusted():
    against, _ = held_against(models_alike(2, 3))
    (model,) = against.models
    assert model.joint == model.differences["auc", WHOLE].estimate
    assert model.verdict is model.verdict_alone


@pytest.mark.slow
def test_of_many_models_that_are_no_better_one_is_seldom_called_better():
    # Five models drawn like the reference: alone, some is called better or worse far more often than 5 %.
    alone = together = 0
    rounds = 200
    for seed in range(rounds):
        against, _ = held_against(models_alike(6, seed), draws=1_000, seed=seed)
        said = {Verdict.BETTER, Verdict.WORSE}
        alone += any(model.verdict_alone in said for model in against.models)
        together += any(model.verdict in said for model in against.models)
    assert alone / rounds > 0.12
    assert together / rounds <= 0.085


def test_where_the_number_of_models_decides_it_is_said():
    model = replace(
        held_against(models_alike(3, 3))[0].models[0],
        joint=Estimate(0.0, -0.021, 0.004),
        verdict=Verdict.NOT_SHOWN,
        verdict_alone=Verdict.WITHIN_MARGIN,
    )
    against = replace(held_against(models_alike(3, 3))[0], models=(model, model))
    sentence = findings.verdict_sentence(model, against)
    assert "too few patients to say." in sentence
    assert sentence.endswith(
        "(Asked alone, by its 95 % interval: within the margin. With 2 models asked, its 97.5 % interval, "
        "-0.021 to +0.004, decides.)"
    )
    assert "Asked alone" not in findings.verdict_sentence(replace(model, verdict_alone=model.verdict), against)


def told_apart(patients: int, *, for_first: int = 0, for_second: int = 0, images: int = 1) -> list[Scored]:
    """A reference and a model, right on all but so many patients of which the other one is right alone."""
    patient = np.repeat(np.arange(patients), images)
    truth = (np.arange(patients) % 2)[patient]
    models = []
    for number, wrong in enumerate((range(for_second), range(for_second, for_second + for_first))):
        score = np.where(np.isin(patient, list(wrong)), 1 - truth, truth) * 0.8 + 0.1 + number * 1e-4
        models.append(scored_as(score, truth, patient))
    return models


@pytest.mark.parametrize(
    ("patients", "apart", "measure", "said"),
    [
        pytest.param(80, {}, "accuracy", "not shown", id="80 patients called alike do not show a margin of 2 %"),
        pytest.param(400, {}, "accuracy", "within the margin", id="400 do"),
        pytest.param(400, {"images": 3}, "accuracy", "within the margin", id="400 with three images each do"),
        pytest.param(80, {"images": 6}, "accuracy", "not shown", id="images of the same 80 do not help"),
        pytest.param(300, {}, "sensitivity", "not shown", id="of 300 patients only 150 are positive"),
        pytest.param(60, {"for_second": 2}, "accuracy", "not shown", id="two for the model: resamples end at 0"),
        pytest.param(400, {"for_first": 9}, "accuracy", "worse", id="nine against it and none for it"),
    ],
)
def test_a_verdict_on_calls_rests_on_the_score_interval_where_few_patients_tell_apart(patients, apart, measure, said):
    against, judged = held_against(told_apart(patients, **apart), measure=measure)
    (model,) = against.models
    difference = model.differences[measure, WHOLE]
    assert (model.verdict, model.unfounded) == (said, "")
    assert difference.few_told_apart
    assert difference.low < difference.value < difference.high
    plain = percentile_interval(judged[1].draws[measure, WHOLE] - judged[0].draws[measure, WHOLE])
    assert difference.low <= plain.low
    assert difference.high >= plain.high
    assert "widened to hold Tango's" in findings.few_told_apart(against)[0]


def test_ten_patients_told_apart_are_left_to_the_resamples():
    against, judged = held_against(told_apart(400, for_first=6, for_second=4), measure="accuracy")
    difference = against.models[0].differences["accuracy", WHOLE]
    plain = percentile_interval(judged[1].draws["accuracy", WHOLE] - judged[0].draws["accuracy", WHOLE])
    assert (difference.low, difference.high, difference.few_told_apart) == (plain.low, plain.high, False)
    assert findings.few_told_apart(against) == []


def test_the_same_model_twice_is_within_the_margin_without_any_width():
    first, _ = told_apart(40)
    against, _ = held_against([first, first], measure="accuracy")
    difference = against.models[0].differences["accuracy", WHOLE]
    assert (difference.low, difference.high, against.models[0].verdict) == (0, 0, "within the margin")


def test_the_calls_alike_by_other_probabilities_show_nothing_of_what_has_no_score_interval():
    against, _ = held_against(told_apart(400), measure="balanced_accuracy")
    assert (against.models[0].verdict, "no width" in against.models[0].unfounded) == ("not shown", True)


@pytest.mark.parametrize(
    ("measure", "clustered", "test"),
    [
        ("auc", True, "DeLong over patients"),
        ("auc", False, "DeLong"),
        ("accuracy", True, "exact McNemar over patients"),
        ("sensitivity", False, "exact McNemar"),
        ("brier", True, "resamples of patients"),
        ("f1", False, "resamples of patients"),
    ],
)
def test_every_p_value_has_its_test_beside_it(comparison, drawn, measure, clustered, test):
    against = replace(comparison.against, measure=measure, clustered=clustered)
    made = replace(comparison, against=against)
    assert words.p_value_head(against) == f"p ({test}; Holm)"
    assert f"<th>p ({test}; Holm)</th>" in render_report(made, drawn)
    assert f"p-values by {test}, after Holm" in markdown_table(made)
    document = json.loads(json.dumps(results(made)))["reference"]
    for model, written in zip(against.models, document["models"], strict=True):
        assert written["shown"] == {
            "measure": measure,
            "test": test,
            "p_holm": pytest.approx(words.p_value_of(model, measure)),
        }
        assert {each["test"] for each in written["differences"].values()} == {"resamples of patients"}
        assert {each["test"] for each in written["mcnemar"].values()} == {"exact McNemar"}
        assert written["delong"]["test"] == "DeLong"
        assert all("p_value" in each for each in written["mcnemar_patients"].values())


def test_patients_with_several_images_are_noticed():
    assert held_against(models_alike(2, 1))[0].clustered
    assert not held_against(told_apart(40))[0].clustered


def test_report_and_results_show_the_interval_that_decides(comparison, drawn):
    against = comparison.against
    level = words.joint_level(against)
    page = render_report(comparison, drawn)
    assert level == "97.5 %"
    assert f"<th>{level} interval</th>" in page
    assert "so that those of all 2 models hold together with 95 %" in page
    for model, written in zip(against.models, results(comparison)["reference"]["models"], strict=True):
        assert words.ends(model.joint) in page
        assert written["joint"] == {"level": 0.975, "low": model.joint.low, "high": model.joint.high}
        assert written["verdict_alone"] == model.verdict_alone.value
