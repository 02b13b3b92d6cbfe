"""What stands beside a model's figures: floors not cleared, what it took, bands, fronts, the explorer's counts."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr.bundle import Origin
from cxr.compare.comparison import compare
from cxr.compare.context import floors_not_cleared, group_draws
from cxr.compare.deployments import Deployment, deployments_of
from cxr.compare.effort import Effort, effort_of
from cxr.compare.overlap import Overlap
from cxr.compare.report import findings, render_report
from cxr.compare.report.bands import PLACES, RECALLS, bands_of
from cxr.compare.report.explorer import as_script_text, explorer_data
from cxr.compare.report.pareto_plots import pareto_front
from cxr.compare.statistics.against_reference import Difference, ReferenceComparison
from cxr.compare.statistics.estimates import Draws, Estimate
from cxr.compare.statistics.measures import Scored
from cxr.compare.statistics.noninferiority import verdict
from cxr.manifests.manifest import new_manifest


def _row(name: str, value: float, low: float) -> SimpleNamespace:
    return SimpleNamespace(name=name, metrics={"auc": Estimate(value, low, 1.0)})


@pytest.mark.parametrize(
    ("low", "held"),
    [
        pytest.param(0.95, (), id="above all"),
        pytest.param(0.90, ("pixels",), id="exactly one floor is not above it"),
        pytest.param(0.70, ("pixels", "bytes"), id="two, the highest first"),
        pytest.param(float("nan"), ("pixels", "bytes", "majority"), id="not defined"),
    ],
)
def test_a_floor_is_cleared_when_the_whole_interval_lies_above_it(low, held):
    floors = [_row("majority", 0.5, 0.5), _row("bytes", 0.8, 0.7), _row("pixels", 0.9, 0.85)]
    assert floors_not_cleared(_row("model", 0.97, low), floors) == held


def _bundle(cost, provenance, origin=Origin.CUSTOM_JOB):
    return SimpleNamespace(info=SimpleNamespace(cost=cost, provenance=provenance, origin=origin))


@pytest.mark.parametrize(
    ("bundle", "effort", "said"),
    [
        pytest.param(
            _bundle(None, {"training_seconds": 90.0}, Origin.BASELINE), Effort(1.5, 0.0), ("1.5", "0"), id="own machine"
        ),
        pytest.param(_bundle(None, {}, Origin.IMPORTED), Effort(), ("–", "–"), id="nobody knows"),
        pytest.param(
            _bundle({"worst_case_usd": 18.0, "actual_usd": 0.0, "hours": 0.5, "billed": False}, {}, Origin.AUTOML),
            Effort(30.0, 0.0, list_usd=18.0),
            ("30.0", "0 here (list price at most 18.00)"),
            id="emulator",
        ),
        pytest.param(
            _bundle(
                {"worst_case_usd": 9.0, "actual_usd": 2.5, "actual_is_at_most": True, "billed": True},
                {"training_seconds": 60},
            ),
            Effort(1.0, 2.5, True, 2.5),
            ("1.0", "at most 2.50"),
            id="billed, spot",
        ),
        pytest.param(
            _bundle({"actual_usd": None, "worst_case_usd": 4.0, "billed": True}, {"training_seconds": "long"}),
            Effort(None, None, list_usd=4.0),
            ("–", "planned at most 4.00"),
            id="not known",
        ),
    ],
)
def test_effort_is_what_the_bundle_says_and_nothing_is_invented(bundle, effort, said):
    made = effort_of(bundle)
    assert made == effort
    assert (findings.minutes(made), findings.money(made)) == said


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=8))
def test_a_model_is_on_the_front_when_no_other_beats_it(models):
    quality, paid = [float(each[0]) for each in models], [float(each[1]) for each in models]
    front = pareto_front(quality, paid)
    for number, (own, price) in enumerate(models):
        beaten = any(q >= own and p <= price and (q, p) != (own, price) for q, p in models)
        assert (number in front) == (not beaten)


def _cases(score, positive, patients=None) -> Scored:
    score, truth = np.asarray(score, dtype=np.float64), np.asarray(positive, dtype=np.int64)
    return Scored(
        probabilities=np.stack([1 - score, score], axis=1),
        truth=truth,
        called=(score >= 0.5).astype(np.int64),
        patients=patients or [f"p{number}" for number in range(len(score))],
        kinds=[""] * len(score),
        classes=("NORMAL", "PNEUMONIA"),
        positive=1,
    )


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=40), st.floats(0, 1))
def test_the_explorer_counts_what_a_loop_counts_and_has_the_own_threshold(images, own):
    score, positive = [each[0] for each in images], [each[1] for each in images]
    data = explorer_data(["a"], [_cases(score, positive)], [own])
    (model,) = data["models"]
    assert model["thresholds"][model["own"]] == own
    assert model["thresholds"] == sorted(set(model["thresholds"]))
    for threshold, found, alarms in zip(model["thresholds"], model["found"], model["alarms"], strict=True):
        assert found == sum(is_positive and value >= threshold for value, is_positive in images)
        assert alarms == sum(not is_positive and value >= threshold for value, is_positive in images)


def test_no_name_can_end_the_explorers_script_element():
    text = as_script_text({"name": "</script><!--&"})
    assert not {"<", ">", "&"} & set(text)


def test_bands_hold_the_curve_of_a_noisy_model_and_have_no_width_for_a_perfect_one():
    random = np.random.default_rng(4)
    positive = random.random(300) < 0.6
    score = np.clip(0.5 + 0.15 * np.where(positive, 1, -1) + random.normal(0, 0.2, 300), 0, 1)
    bands = bands_of(_cases(score, positive), Draws(300, 3))
    assert bands is not None
    order = np.argsort(-score)
    alarms = np.r_[0, np.cumsum(~positive[order])] / (~positive).sum()
    found = np.r_[0, np.cumsum(positive[order])] / positive.sum()
    curve = np.interp(PLACES, alarms, found)
    inside = (bands.roc.low <= curve + 1e-9) & (curve <= bands.roc.high + 1e-9)
    assert inside.mean() > 0.95
    assert (bands.roc.high - bands.roc.low).max() > 0.05
    assert len(bands.precision_recall.x) == len(RECALLS)
    perfect = bands_of(_cases(positive * 0.8 + 0.1, positive), Draws(100, 3))
    assert perfect is not None
    assert perfect.roc.low.min() == perfect.roc.high.max() == 1
    assert perfect.precision_recall.low.min() == 1


def test_subgroups_of_very_many_images_are_resampled_less_often():
    assert group_draws(Draws(2_000, 1), 624).count == 2_000
    assert group_draws(Draws(2_000, 1), 1_000_000).count == 200
    assert group_draws(Draws(20, 1), 1_000_000).count == 20


def test_patients_on_both_sides_are_a_caution_with_counts_in_report_and_results(judged, world, output, tmp_path):
    frame = world.manifest.frame.copy()
    test, train = (frame.index[frame["split"] == split] for split in ("test", "train"))
    frame.loc[train[0], "patient"] = frame.loc[test[0], "patient"]
    shared = frame.loc[test[0], "patient"]
    manifest = new_manifest(frame, world.manifest.header, world.manifest.location)
    bundle = judged.keras_bundle(tmp_path / "bundle", manifest.hash)
    made = compare(
        [bundle], manifest, output=tmp_path / "o", cache_dir=output / "cache", on_progress=judged.quiet, draws=20
    )
    assert made.overlap is not None
    assert (made.overlap.images, made.overlap.patients) == (0, 1)
    (alert,) = findings.overlap_alerts(made)
    assert "1 of 20 test patients" in alert
    assert frame.loc[frame["patient"] == shared, "path"].isin(made.overlap.examples).any()
    page = made.report_path.read_text(encoding="utf-8")
    assert page.index("1 of 20 test patients") < page.index("<table")
    assert '<p class="alert"' in page


def test_a_clean_split_has_no_such_caution(comparison, drawn):
    assert findings.overlap_alerts(comparison) == []
    soiled = replace(comparison, overlap=Overlap("test", 3, 2, ("test/a.png",)))
    (alert,) = findings.overlap_alerts(soiled)
    assert "3 of 60 test images" in alert
    assert "2 of 20 test patients" in alert
    assert alert.replace("'", "&#39;") in render_report(soiled, drawn)


def _verification(source_hash: str) -> dict[str, object]:
    cost = {"median_ms": 1.5, "p95_ms": 2.0, "peak_mb": None}
    check = {
        "format": "tfjs",
        "runtime": "TensorFlow.js in Chromium",
        "verdict": "passed",
        "bytes": 1_000,
        "cost": cost,
    }
    return {
        "schema": "cxr.export.verification",
        "schema_version": 1,
        "source": {"hash": source_hash},
        "checks": [check, check | {"format": "coreml", "runtime": None, "verdict": "not run", "cost": None}],
    }


def test_exports_are_shown_as_they_were_verified_against_this_very_bundle(judged, tmp_path):
    bundle = judged.tflite_bundle(tmp_path / "edge", "0" * 64)
    beside = tmp_path / "edge-exports" / "verification.json"
    assert deployments_of(bundle) == ()
    beside.parent.mkdir()
    beside.write_text(json.dumps(_verification(bundle.hash)))
    assert deployments_of(bundle) == (
        Deployment("tfjs", "TensorFlow.js in Chromium", "passed", 1_000, 1.5),
        Deployment("coreml", "", "not run", 1_000, None),
    )
    for text in (json.dumps(_verification("f" * 64)), "{", "[]", json.dumps(_verification(bundle.hash))[:-40]):
        beside.write_text(text)
        assert deployments_of(bundle) == ()


@pytest.mark.parametrize(
    ("low", "high", "measure", "said"),
    [
        pytest.param(0.01, 0.03, "auc", "in its favour with all of its interval: better", id="better"),
        pytest.param(-0.012, 0.004, "auc", "is within the margin of 0.02", id="within"),
        pytest.param(-0.030, -0.001, "auc", "worse, and not shown to be within the margin of 0.02", id="worse"),
        pytest.param(-0.090, -0.030, "auc", "by more than the margin of 0.02: worse", id="beyond the margin"),
        pytest.param(0.030, 0.090, "brier", "by more than the margin of 0.02: worse", id="errors: more is worse"),
        pytest.param(-0.090, 0.040, "auc", "too few patients to say", id="open"),
    ],
)
def test_the_verdict_is_said_in_words_that_fit_the_interval(low, high, measure, said):
    middle = (low + high) / 2
    difference = Difference(middle, low, high, 0.5)
    said_of_it = verdict(difference.estimate, 0.02, measure=measure)
    model = SimpleNamespace(
        name="flagship",
        differences={(measure, ""): difference},
        joint=difference.estimate,
        verdict=said_of_it,
        verdict_alone=said_of_it,
        unfounded="",
    )
    against = ReferenceComparison("AutoML", "the AutoML model", measure, 0.02, (model,))
    sentence = findings.verdict_sentence(model, against)
    assert sentence.startswith("flagship: the difference in ")
    assert f"to AutoML, {middle:+.3f} (" in sentence
    assert said in sentence
