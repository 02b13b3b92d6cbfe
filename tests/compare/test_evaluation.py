"""One bundle judged in depth, of every format: the numbers agree with the comparison's, the temperature is applied
once, a new decision is written whole or not at all."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from cxr.bundle import Calibration, ModelFormat, Threshold, read_bundle, with_decision, write_bundle
from cxr.compare.comparison import compare
from cxr.compare.evaluation.decision import check_sensitivity, choose_decision, clean_choice_note
from cxr.compare.evaluation.judge import _shifts, evaluate
from cxr.compare.evaluation.page import check_place, write_evaluation
from cxr.compare.evaluation.words import choice_note, decision, shift_note
from cxr.compare.nouns import Draws
from cxr.compare.predictions.table import predict
from cxr.compare.predictors import open_predictor
from cxr.compare.question import Question
from cxr.compare.statistics.measures import Measured
from cxr.errors import RulerMismatch, UsageError
from cxr.local_baseline.judging.calibration import calibrated
from cxr.local_baseline.tensorflow_setup import load
from cxr.manifests.manifest import new_manifest
from cxr.manifests.tasks import view_for

HOT = Calibration("temperature", 3.0, "hand", "validation", 4, 0.6, 0.5)
FEW = Draws(200, 3)


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def bundle(judged, world, tmp_path):
    """A bundle of its own, to be changed."""
    return judged.keras_bundle(tmp_path / "own", world.manifest.hash)


def judge(judged, bundle, manifest, cache_dir, **options):
    return evaluate(bundle, manifest, cache_dir=cache_dir, on_progress=judged.quiet, draws=FEW, **options)


def decide(judged, bundle, manifest, cache_dir, *, sensitivity=None, recalibrate=False):
    return choose_decision(
        bundle,
        manifest,
        sensitivity=sensitivity,
        recalibrate=recalibrate,
        images=None,
        cache_dir=cache_dir,
        on_progress=judged.quiet,
    )


def test_every_format_is_calibrated_once_where_probabilities_are_handed_out(judged, world):
    for plain in world.bundles:
        contract = plain.info.preprocessing
        shape = (6, contract.height, contract.width, contract.channels)
        images = np.random.default_rng(0).integers(40, 160, size=shape, dtype=np.uint8)
        raw = open_predictor(plain).predict(images)
        hot = replace(plain, info=replace(plain.info, calibration=HOT))
        made = open_predictor(hot).predict(images)
        assert np.allclose(made, calibrated(raw, HOT), atol=1e-9), plain.info.format
        assert np.abs(made - raw).max() > 0.01, plain.info.format


def test_shared_measures_and_intervals_are_the_comparisons(judged, world, cache_dir):
    for bundle in world.bundles:
        result = judge(judged, bundle, world.manifest, cache_dir)
        row = judged.row_of(bundle, result.predictions, world.manifest, FEW, name="row")
        assert set(result.metrics) <= set(row.metrics)
        for name, estimate in ((name, row.metrics[name]) for name in result.metrics):
            assert result.metrics[name].value == pytest.approx(estimate.value), name
            assert result.metrics[name].low == pytest.approx(estimate.low), name
            assert result.metrics[name].high == pytest.approx(estimate.high), name
        assert (result.confusion == row.confusion).all()
        assert [report.support for report in result.reports] == [20, 40]
        assert result.reports[1].recall == result.metrics["sensitivity"]


def test_comparison_shows_calibrated_scores_of_a_calibrated_bundle(judged, world, bundle, cache_dir, tmp_path):
    hot = with_decision(bundle, replace(bundle.info.threshold, value=0.6), HOT)
    comparison = compare([world.keras, hot], world.manifest, output=tmp_path / "out", cache_dir=cache_dir,
                         on_progress=judged.quiet, draws=50)  # fmt: skip
    plain, changed = comparison.models
    classes = world.manifest.classes
    expected = calibrated(plain.predictions.probabilities(classes), HOT)
    assert np.allclose(changed.predictions.probabilities(classes), expected, atol=1e-6)
    assert changed.metrics["auc"].value == pytest.approx(plain.metrics["auc"].value)
    positives = world.manifest.split("test")["label"] == "PNEUMONIA"
    assert changed.metrics["sensitivity"].value == pytest.approx((expected[positives, 1] >= 0.6).mean())


def test_a_sensitivity_moves_the_threshold_alone_and_is_reached_on_validation(judged, world, bundle, cache_dir):
    made = decide(judged, bundle, world.manifest, cache_dir, sensitivity=1.0)
    assert made.calibration is None
    assert made.threshold.sensitivity == 1.0
    assert made.threshold.chosen_on == "validation"
    predictions = predict(bundle, world.manifest, cache_dir=cache_dir, split="validation", on_progress=judged.quiet)
    truth = world.manifest.split("validation")["label"] == "PNEUMONIA"
    assert (predictions.probabilities(("PNEUMONIA",))[truth.to_numpy(), 0] >= made.threshold.value).all()


def test_a_new_decision_rewrites_the_description_and_nothing_else(judged, world, bundle, cache_dir):
    before = bundle.hash
    decided = with_decision(bundle, Threshold(0.7, "max-youden", "validation"), HOT)
    assert decided.hash != before
    again = read_bundle(bundle.folder)
    assert (again.hash, again.info) == (decided.hash, decided.info)
    assert again.info.calibration == HOT
    assert again.info.files == bundle.info.files
    result = judge(judged, again, world.manifest, cache_dir)
    assert result.uncalibrated is not None
    plain = judge(judged, world.keras, world.manifest, cache_dir)
    assert result.uncalibrated.log_loss == pytest.approx(plain.calibrated.log_loss, abs=1e-6)
    assert "temperature 3.000" in decision(result)


def test_a_dry_run_keeps_every_byte(bundle):
    path = bundle.folder / "bundle.json"
    before = path.read_bytes()
    other = with_decision(bundle, bundle.info.threshold, HOT, keep_file=True)
    assert other.hash != bundle.hash
    assert path.read_bytes() == before


def exchanged(manifest):
    """The manifest with test and validation exchanged: 60 images to choose on."""
    names = {"test": "validation", "validation": "test"}
    frame = manifest.frame.assign(split=manifest.frame["split"].replace(names))
    return new_manifest(frame, manifest.header, manifest.location)


def test_recalibration_starts_from_the_models_own_probabilities(judged, world, cache_dir, tmp_path):
    manifest = exchanged(world.manifest)
    plain = judged.keras_bundle(tmp_path / "plain", manifest.hash)
    cold = decide(judged, plain, manifest, cache_dir, recalibrate=True)
    assert cold.calibration is not None
    assert (cold.calibration.images, cold.calibration.chosen_on) == (60, "validation")
    assert cold.calibration.cross_entropy < cold.calibration.cross_entropy_before
    hot = with_decision(plain, plain.info.threshold, HOT, keep_file=True)
    assert decide(judged, hot, manifest, cache_dir, recalibrate=True) == cold
    # The same images are called, whatever the temperature: the threshold is on the calibrated probability.
    uncalibrated = decide(judged, plain, manifest, cache_dir)
    assert uncalibrated.calibration is None
    assert uncalibrated.threshold.sensitivity == cold.threshold.sensitivity
    assert uncalibrated.threshold.specificity == cold.threshold.specificity
    assert uncalibrated.threshold.value != pytest.approx(cold.threshold.value, abs=1e-3)


@pytest.mark.parametrize("share", [0.0, 1.5, float("nan")])
def test_a_sensitivity_that_is_no_share_is_refused_before_anything_is_scored(bundle, share):
    with pytest.raises(UsageError, match="a share, more than 0 and at most 1"):
        check_sensitivity(share, bundle)


def test_the_page_and_its_files(judged, world, cache_dir, tmp_path):
    result = judge(judged, world.tflite, world.manifest, cache_dir)
    page = write_evaluation(result, tmp_path / "out").read_text(encoding="utf-8")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        "evaluation.html", "evaluation.json", "predictions.csv", "predictions.json",
        "roc.png", "precision-recall.png", "reliability.png", "confusion.png",
    }  # fmt: skip
    for name in names:
        if name.endswith(".png"):
            assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG\r\n")
    document = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (document["schema"], document["schema_version"]) == ("cxr.baseline.evaluation", 1)
    assert document["bundle"]["hash"] == world.tflite.hash
    assert np.sum(document["confusion"]) == document["images"] == 60
    assert [point["split"] for point in document["operating_points"]] == ["validation", "test"]
    assert "Research use, not a medical device" in page
    assert "stand-in, not by a cloud" in page
    assert page.count("<svg") == 3
    assert "http://" not in page.replace("http://www.w3.org/", "")


def test_validation_judged_alone_has_one_operating_point(judged, world, cache_dir):
    result = judge(judged, world.keras, world.manifest, cache_dir, split="validation")
    assert ([point.split for point in result.points], result.shifts) == (["validation"], ())


def test_a_manifest_without_validation_is_a_note_and_no_error(judged, world, cache_dir, tmp_path):
    frame = world.manifest.frame
    alone = new_manifest(frame[frame["split"] != "validation"], world.manifest.header, world.manifest.location)
    bundle = judged.keras_bundle(tmp_path / "alone", alone.hash)
    result = judge(judged, bundle, alone, cache_dir)
    assert [point.split for point in result.points] == ["test"]
    assert "has no validation images" in result.notes[0]


@pytest.mark.parametrize(
    ("chosen_on", "words"),
    [
        ("validation", "chosen on validation, so that"),
        ("corrupted-validation", "corrupted copies of them, so that"),
        ("nothing", ""),
    ],
)
def test_the_page_says_what_the_threshold_was_chosen_on(judged, world, bundle, cache_dir, tmp_path, chosen_on, words):
    chosen = with_decision(bundle, Threshold(0.5, "some rule", chosen_on), None)
    result = judge(judged, chosen, world.manifest, cache_dir)
    assert result.shifts
    page = write_evaluation(result, tmp_path / "out").read_text(encoding="utf-8")
    assert ("a little too good" in page) == bool(words)
    assert words in page


def test_a_decision_that_was_made_on_corrupted_images_and_is_remade_on_clean_ones_is_told(bundle):
    assert clean_choice_note(bundle) == ""
    chosen = with_decision(bundle, Threshold(0.5, "max-youden", "corrupted-validation"), None)
    assert "clean validation images" in clean_choice_note(chosen)


def test_a_difference_is_marked_when_its_interval_leaves_zero_out():
    generator = np.random.default_rng(0)

    def around(value: float) -> Measured:
        return Measured({("accuracy", ""): value}, {("accuracy", ""): generator.normal(value, 0.02, 2_000)})

    far, near = (_shifts(around(0.9), around(after), ("accuracy",))[0] for after in (0.7, 0.88))
    assert far.is_marked
    assert far.difference.value == pytest.approx(-0.2)
    assert far.difference.low == pytest.approx(-0.2 - 1.96 * 0.02 * 2**0.5, abs=0.005)
    assert not near.is_marked


def test_a_place_inside_a_bundle_is_refused(bundle):
    for place in (bundle.folder, bundle.folder / "deeper"):
        with pytest.raises(UsageError, match="is in a bundle"):
            check_place(place)


@pytest.fixture(scope="module")
def three_classes(judged, world):
    """The manifest with etiologies, and its three-class view."""
    frame = world.manifest.frame
    sick = frame["label"] == "PNEUMONIA"
    etiology = ["viral" if path[-5] in "02468" else "bacterial" for path in frame["path"]]
    changed = frame.assign(etiology=[each if ill else "" for each, ill in zip(etiology, sick, strict=True)])
    manifest = new_manifest(changed, world.manifest.header, world.manifest.location)
    return manifest, view_for(manifest, ("NORMAL", "BACTERIAL", "VIRAL"))


@pytest.fixture
def three_class_bundle(judged, three_classes, tmp_path):
    keras = load().keras
    inside = keras.layers.GlobalAveragePooling2D()
    model = keras.Sequential(
        [keras.Input((judged.SIDE, judged.SIDE, 1)), keras.layers.Rescaling(1 / 255), inside,
         keras.layers.Dense(3, activation="softmax")]
    )  # fmt: skip
    model.set_weights([np.array([[30.0, -30.0, 28.0]]), np.array([-10.6, 10.6, -10.0])])
    (tmp_path / "three").mkdir()
    model.save(tmp_path / "three" / "model.keras")
    return judged.write(
        tmp_path / "three",
        three_classes[0].hash,
        name="three",
        format=ModelFormat.KERAS,
        model_path="model.keras",
        preprocessing=judged.GREY,
        classes=("BACTERIAL", "NORMAL", "VIRAL"),
        positive_class="VIRAL",
        task="multiclass",
    )


def test_three_classes_are_told_one_by_one_and_as_means(judged, three_classes, three_class_bundle, cache_dir, tmp_path):
    view = three_classes[1]
    result = judge(judged, three_class_bundle, view, cache_dir)
    assert result.classes == ("BACTERIAL", "NORMAL", "VIRAL")
    assert [report.label for report in result.reports] == list(result.classes)
    assert result.confusion.shape == (3, 3)
    for measure in ("auc", "f1", "average_precision"):
        every = [getattr(report, measure).value for report in result.reports]
        assert result.metrics[f"macro_{measure}"].value == pytest.approx(np.mean(every))
    assert set(result.points[0].measures) == {"accuracy", "balanced_accuracy", "macro_f1"}
    assert "the most probable class is called" in decision(result)
    assert shift_note(result)
    assert choice_note(result) == ""
    assert write_evaluation(result, tmp_path / "out").stat().st_size > 10_000
    with pytest.raises(UsageError, match="no threshold decides"):
        check_sensitivity(0.95, three_class_bundle)


def test_three_classes_are_compared_class_by_class_and_a_twin_differs_by_nothing(
    judged, three_classes, three_class_bundle, cache_dir, tmp_path
):
    shutil.copytree(three_class_bundle.folder, tmp_path / "twin")
    info = replace(three_class_bundle.info, name="twin")
    twin = write_bundle(tmp_path / "twin", info)
    comparison = compare(
        [three_class_bundle, twin], three_classes[1], output=tmp_path / "out", cache_dir=cache_dir,
        on_progress=judged.quiet, question=Question(measure="macro_auc"),
    )  # fmt: skip
    first = comparison.rows[0]
    assert [report.label for report in first.per_class] == ["BACTERIAL", "NORMAL", "VIRAL"]
    assert [point.name for point in first.points] == ["shipped"]
    assert first.points[0].threshold is None
    assert first.metrics["macro_auc"].value == pytest.approx(np.mean([report.auc.value for report in first.per_class]))
    against = comparison.against.models[0]
    assert (comparison.against.name, against.name) == ("three", "twin")
    assert {difference.value for difference in against.differences.values() if not np.isnan(difference.value)} == {0}
    assert against.verdict == "within the margin"
    document = json.loads(comparison.results_path.read_text())
    assert document["reference"]["measure"] == "macro_auc"
    assert set(document["reference"]["models"][0]["differences_of"]) >= {"BACTERIAL", "NORMAL", "VIRAL"}
    with pytest.raises(UsageError, match="no threshold decides"):
        compare(
            [three_class_bundle], three_classes[1], output=tmp_path / "no", cache_dir=cache_dir,
            on_progress=judged.quiet, question=Question(sensitivity=0.9),
        )  # fmt: skip


def test_a_bundle_of_other_classes_is_refused(judged, world, three_classes, three_class_bundle, cache_dir):
    with pytest.raises(RulerMismatch):
        judge(judged, three_class_bundle, three_classes[0], cache_dir)


def test_etiologies_are_told_of_a_label_that_has_them(judged, three_classes, cache_dir, tmp_path):
    manifest = three_classes[0]
    bundle = judged.keras_bundle(tmp_path / "binary", manifest.hash)
    result = judge(judged, bundle, manifest, cache_dir)
    assert [(kind.label, kind.etiology) for kind in result.etiologies] == [
        ("PNEUMONIA", "bacterial"),
        ("PNEUMONIA", "viral"),
    ]
    found = sum(kind.recall.value * kind.images for kind in result.etiologies)
    assert found == pytest.approx(result.confusion[1, 1])
