"""What the report says of a comparison is what its figures say: sides of a margin, stand-ins, thresholds, splits."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from cxr.bundle import Calibration, ModelFormat, Origin
from cxr.compare.comparison import compare
from cxr.compare.question import Question
from cxr.compare.report import findings, render_report, words
from cxr.compare.report.interval_plots import difference_plot
from cxr.compare.results.document import results
from cxr.compare.results.model_card import model_card
from cxr.compare.results.tables import markdown_table
from cxr.compare.statistics.estimates import Estimate
from cxr.manifests.manifest import SplitPolicy, new_manifest


def section(page: str, name: str) -> str:
    """One part of the page, in one line of plain text."""
    text = re.search(rf'<section id="{name}">(.*?)</section>', page, re.DOTALL)[1]
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL)).split())


@pytest.mark.parametrize(
    ("measure", "side"), [("auc", "right"), ("brier", "left"), ("log_loss", "left"), ("calibration_error", "left")]
)
def test_the_margin_lies_on_the_side_where_a_model_is_worse(comparison, drawn, measure, side):
    against = replace(comparison.against, measure=measure)
    text = section(render_report(replace(comparison, against=against), drawn), "reference")
    assert f"All of an interval {side} of it is within the margin, all of it {side} of 0 is better" in text
    uprights = re.findall(
        r'<path d="M ([\d.]+) [\d.]+\s+L \1 [\d.]+\s*"[^>]*?style="([^"]*)"',
        difference_plot(comparison.models, against).svg,
    )
    (margin,) = [float(place) for place, style in uprights if "stroke-dasharray" in style]
    (none,) = [float(place) for place, style in uprights if "--ink" in style]
    assert (margin < none) == (side == "right")


def test_a_reference_that_is_a_stand_in_is_called_one_wherever_it_is_named(judged, world, output, tmp_path):
    made = compare(
        [world.keras, world.tflite],
        world.manifest,
        output=tmp_path / "o",
        cache_dir=output / "cache",
        on_progress=judged.quiet,
        draws=20,
        question=Question(reference="automl edge"),
        pictures=False,
    )
    called = "automl edge (emulator stand-in)"
    (model,) = made.against.models
    assert f"to {called}, " in findings.verdict_sentence(model, made.against)
    assert f"reference: {called}, asked for with --reference;" in words.reference_sentence(made.against)
    assert f"As good as {called}? The reference is {called}:" in section(render_report(made), "reference")
    assert results(made)["reference"]["stand_in"] is True
    assert f"difference to {called}" in markdown_table(made)
    asked_for_another = replace(made.against, name="cnn5", stand_in=False)
    assert "stand-in" not in words.reference_sentence(asked_for_another)


def judged_at(comparison, chosen_on: str):
    """The comparison with a first model whose threshold was chosen there."""
    first = comparison.rows[0]
    moved = replace(first, threshold=replace(first.threshold, chosen_on=chosen_on))
    return replace(comparison, rows=(moved, *comparison.rows[1:]))


@pytest.mark.parametrize("chosen_on", ["test", "Test split"])
def test_a_threshold_that_the_test_images_chose_is_said_in_red(comparison, drawn, chosen_on):
    made = judged_at(comparison, chosen_on)
    (alert,) = [alert for alert in findings.alerts_of(made) if "threshold of cnn5 was chosen on the test" in alert]
    assert alert in findings.alerts_about(made.rows[0], made)
    assert alert not in findings.alerts_about(made.rows[1], made)
    page = render_report(made, drawn)
    assert f"<strong>Caution.</strong> {alert}" in page
    assert "none is chosen on these images" not in page
    assert "chosen on these very images: cnn5." in section(page, "table")


@pytest.mark.parametrize("chosen_on", ["not known here", "images of a friend", "latest images"])
def test_a_threshold_of_unknown_origin_is_a_caution(comparison, drawn, chosen_on):
    made = judged_at(comparison, chosen_on)
    assert not any("threshold of cnn5" in alert for alert in findings.alerts_of(made))
    assert any("the threshold of cnn5 was chosen is not known" in caveat for caveat in words.caveats_of(made))
    assert "none is chosen on these images" not in render_report(made, drawn)
    assert "the threshold of cnn5 was chosen is not known" in model_card(made.rows[0], made)


@pytest.mark.parametrize("chosen_on", ["validation", "corrupted-validation", "nothing"])
def test_where_all_origins_are_known_the_report_says_so(comparison, drawn, chosen_on):
    made = judged_at(comparison, chosen_on)
    assert "none is chosen on these images" in section(render_report(made, drawn), "table")
    assert not any("threshold" in said for said in (*findings.alerts_of(made), *words.caveats_of(made)))


def test_undefined_resamples_are_counted_and_many_of_them_are_a_caution(comparison):
    first = comparison.rows[0]
    for undefined, said in ((100, False), (101, True)):
        metrics = {**first.metrics, "npv": replace(first.metrics["npv"], undefined_draws=undefined)}
        made = replace(comparison, rows=(replace(first, metrics=metrics), *comparison.rows[1:]))
        caveat = f"Up to {undefined} of 2,000 resamples do not define negative predictive value of cnn5"
        assert any(each.startswith(caveat) for each in words.caveats_of(made)) == said
        assert results(made)["rows"][0]["metrics"]["npv"]["undefined_draws"] == undefined


def test_a_class_of_few_patients_is_a_caution(comparison):
    frame = comparison.manifest.frame.copy()
    normal = (frame["split"] == "test") & (frame["label"] == "NORMAL")
    for patients, said in ((4, True), (5, False)):
        frame.loc[normal, "patient"] = [f"one-{number % patients}" for number in range(normal.sum())]
        made = replace(comparison, manifest=new_manifest(frame, comparison.manifest.header))
        found = any("so few patients (4 of NORMAL)" in caveat for caveat in words.caveats_of(made))
        assert found == said


def calibrated_on(comparison, chosen_on: str):
    """The comparison with a first model whose calibration was chosen there."""
    first = comparison.rows[0]
    calibration = Calibration("temperature", 1.3, "cross-entropy", chosen_on, 100, 0.3, 0.2)
    bundle = replace(first.bundle, info=replace(first.bundle.info, calibration=calibration))
    return replace(comparison, rows=(replace(first, bundle=bundle), *comparison.rows[1:]))


@pytest.mark.parametrize(
    ("chosen_on", "alerts", "cautions"),
    [("test", 1, 0), ("the test images", 1, 0), ("somewhere", 0, 1), ("validation", 0, 0), ("nothing", 0, 0)],
)
def test_a_calibration_that_the_test_images_chose_is_said_in_red(comparison, drawn, chosen_on, alerts, cautions):
    made = calibrated_on(comparison, chosen_on)
    found = [said for said in findings.alerts_of(made) if said.startswith("The calibration of cnn5 was chosen on")]
    assert len(found) == alerts
    assert (
        len([said for said in words.caveats_of(made) if "the calibration of cnn5 was chosen is not" in said])
        == cautions
    )
    card, table, page = model_card(made.rows[0], made), markdown_table(made), render_report(made, drawn)
    for said in found:
        assert f"<strong>Caution.</strong> {said}" in page
        assert said in card
        assert said in table
    assert not any("calibration" in said for said in findings.alerts_about(made.rows[1], made))


@pytest.mark.parametrize(
    ("model_format", "said"),
    [
        (ModelFormat.PREDICTIONS, "What cnn5 learned from is not known here"),
        (
            ModelFormat.KERAS,
            "cnn5 was trained by another program: that it learned from this manifest's training images",
        ),
    ],
    ids=["scores", "model"],
)
def test_what_an_imported_model_learned_from_is_a_caution_everywhere(comparison, drawn, model_format, said):
    first = comparison.rows[0]
    info = replace(first.bundle.info, origin=Origin.IMPORTED, format=model_format)
    row = replace(first, bundle=replace(first.bundle, info=info))
    made = replace(comparison, rows=(row, *comparison.rows[1:]))
    assert said in model_card(row, made)
    assert said in markdown_table(made)
    assert f"<strong>Caution.</strong> {said}".replace("'", "&#39;") in render_report(made, drawn)
    assert said not in model_card(made.rows[1], made)


def test_an_interval_without_width_is_a_caution_with_the_exact_one_everywhere(comparison, drawn):
    first = comparison.rows[0]
    narrow = {**first.metrics, "sensitivity": Estimate(1.0, 1.0, 1.0), "auc": Estimate(1.0, 1.0, 1.0)}
    row = replace(first, metrics=narrow)
    made = replace(comparison, rows=(row, *comparison.rows[1:]))
    (caveat,) = [said for said in words.caveats_of(made) if said.startswith("The resamples of cnn5 are all alike in")]
    assert "all alike in sensitivity, AUC: an interval without width says nothing of other patients" in caveat
    low, high = row.points[0].proportions["sensitivity"].exact
    assert f"images taken as independent: sensitivity {100 * low:.1f} to {100 * high:.1f} %." in caveat
    assert caveat in markdown_table(made)
    assert caveat in model_card(row, made)
    assert caveat in render_report(made, drawn)
    assert not any("The resamples of cnn5" in said for said in words.caveats_of(comparison))


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (SplitPolicy(), "as found in the folders"),
        (
            SplitPolicy("grouped", validation=0.15),
            "validation grouped by patient and duplicate, 15 % of the training pool; test as found in the folders",
        ),
        (
            SplitPolicy("folds", folds=5),
            "the training pool in 5 parts grouped by patient and duplicate, of which the first is validation; test as "
            "found in the folders",
        ),
        (
            SplitPolicy("resplit", validation=0.1, test=0.2),
            "all images split anew, grouped by patient and duplicate: validation 10 % of all, test 20 % of all",
        ),
    ],
    ids=lambda each: getattr(each, "name", ""),
)
def test_each_split_policy_is_said_as_it_was_made(comparison, policy, said):
    made = replace(comparison, test_set=replace(comparison.test_set, policy=policy))
    assert words.split_policy(made) == said


def test_a_share_whose_interval_has_no_width_has_the_exact_one(comparison):
    row = comparison.rows[0]
    point = row.points[0]
    exact = point.proportions["sensitivity"].exact
    narrow = replace(row, metrics={**row.metrics, "sensitivity": Estimate(1.0, 1.0, 1.0)})
    assert words.share_here(narrow, "sensitivity") == f"100.0 % (exact: {100 * exact[0]:.1f}–{100 * exact[1]:.1f})"
    wide = replace(row, metrics={**row.metrics, "sensitivity": Estimate(0.9, 0.8, 1.0)})
    assert words.share_here(wide, "sensitivity") == "90.0 %"
