"""The whole comparison of real bundles of three formats, its results file and its report."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from cxr.compare.comparison import compare
from cxr.compare.predictions.table import predict, read_predictions
from cxr.compare.report import words
from cxr.compare.results.document import results
from cxr.compare.ruler import check_split
from cxr.errors import InputError, RulerMismatch
from cxr.manifests.manifest import new_manifest


@pytest.fixture(scope="module")
def document(comparison):
    return json.loads(comparison.results_path.read_text(encoding="utf-8"))


FLOORS = ["majority class", "byte count", "32x32 pixels"]


def test_there_is_a_row_for_each_bundle_and_one_for_each_floor(comparison):
    assert [row.name for row in comparison.rows] == ["cnn5", "custom cnn5", "automl edge", *FLOORS]
    assert [row.kind for row in comparison.rows] == ["model"] * 3 + ["floor"] * 3
    (note,) = comparison.notes
    assert note.startswith("no subgroups by etiology (no image's name tells one); series of patients (it ")
    assert note.endswith(
        "image size (all images have the same, 0.0013 megapixels); "
        "aspect ratio (all images have the same, 1.25); duplicates (no image is known to have one)"
    )


def test_who_trained_it_is_said_and_a_stand_in_is_called_one(comparison):
    assert [row.trained_by for row in comparison.rows] == [
        "local baseline",
        "custom job",
        "AutoML (emulator stand-in)",
        "floor: always PNEUMONIA",
        "floor: logistic regression on the file's size alone",
        "floor: logistic regression on a grey thumbnail",
    ]


def test_every_estimate_lies_in_its_interval_and_in_0_to_1(comparison):
    for row in comparison.rows:
        for name in ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "ppv", "f1", "auc", "brier"):
            estimate = row.metrics[name]
            assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1, (row.name, name)


def test_the_models_beat_the_floor(comparison):
    models, floor = comparison.models, comparison.floors[0]
    assert floor.metrics["accuracy"].value == pytest.approx(40 / 60)
    assert (floor.metrics["sensitivity"].value, floor.metrics["specificity"].value) == (1, 0)
    assert floor.metrics["auc"].value == 0.5
    for row in models:
        assert row.metrics["auc"].low > 0.5


def test_the_threshold_is_the_bundles_own(judged, world, comparison, output):
    row = comparison.rows[0]
    positives = world.manifest.split("test")["label"] == "PNEUMONIA"
    score = row.predictions.probabilities(("PNEUMONIA",))[:, 0]
    for threshold in (0.5, 0.9):
        info = replace(world.keras.info, threshold=replace(world.keras.info.threshold, value=threshold))
        moved = replace(world.keras, info=info)
        again = judged.row_of(moved, row.predictions, world.manifest, comparison.draws, name="moved")
        assert again.metrics["sensitivity"].value == pytest.approx((score[positives] >= threshold).mean())
        assert again.metrics["auc"].value == row.metrics["auc"].value


def test_the_order_of_a_bundles_classes_changes_nothing(judged, world, comparison, tmp_path):
    # The same network with its two outputs exchanged, and bundle.json saying so.
    model = judged.edge_model()
    weights, biases = model.get_weights()
    model.set_weights([weights[:, ::-1], biases[::-1]])
    for folder, net, classes in (("there", judged.edge_model(), judged.CLASSES), ("back", model, judged.CLASSES[::-1])):
        (tmp_path / folder).mkdir()
        net.export(str(tmp_path / folder / "saved_model"), verbose=False)
        judged.write(
            tmp_path / folder,
            world.manifest.hash,
            name=folder,
            format=world.saved_model.info.format,
            model_path="saved_model",
            preprocessing=judged.EDGE,
            classes=classes,
        )
    from cxr.bundle import read_bundle

    rows = []
    for folder in ("there", "back"):
        bundle = read_bundle(tmp_path / folder)
        made = predict(bundle, world.manifest, cache_dir=tmp_path / "cache", on_progress=judged.quiet)
        rows.append(judged.row_of(bundle, made, world.manifest, comparison.draws, name=folder))
    assert np.array_equal(rows[0].confusion, rows[1].confusion)
    assert rows[0].metrics == rows[1].metrics


def test_size_is_the_models_files_and_latency_is_measured(world, comparison):
    model = comparison.rows[2]
    assert model.model_size_bytes == (world.tflite.folder / "model.tflite").stat().st_size
    assert all(row.latency_ms > 0 for row in comparison.models)
    assert comparison.rows[3].latency_ms is None


def test_predictions_lie_beside_the_report(world, comparison):
    for bundle in world.bundles:
        folder = comparison.output / "predictions" / bundle.hash[:16]
        assert read_predictions(folder, world.manifest).header.bundle_hash == bundle.hash


def test_scoring_again_gives_the_same_numbers(judged, world, comparison, output):
    again = compare(
        world.bundles, world.manifest, output=output / "again", cache_dir=output / "fresh", on_progress=judged.quiet
    )
    # As text: a measure that is not defined is NaN, which equals nothing.
    assert [repr(row.metrics) for row in again.rows] == [repr(row.metrics) for row in comparison.rows]


def test_models_of_the_same_name_are_told_apart(judged, world, output, tmp_path):
    twin = judged.keras_bundle(tmp_path / "twin", world.manifest.hash, slope=50.0)
    both = compare(
        [world.keras, twin],
        world.manifest,
        output=tmp_path / "out",
        cache_dir=output / "cache",
        on_progress=judged.quiet,
        draws=20,
    )
    assert [row.name for row in both.models] == ["cnn5 (cnn5)", "cnn5 (twin)"]


def test_a_refused_comparison_writes_nothing(judged, world, tmp_path):
    other = judged.make_manifest(tmp_path / "other", seed=9)
    with pytest.raises(RulerMismatch):
        compare(
            world.bundles,
            other,
            output=tmp_path / "out",
            cache_dir=tmp_path / "cache",
            on_progress=judged.quiet,
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["no model", "another input", "three classes"])
def test_a_last_model_that_cannot_run_is_found_before_the_first_is_scored(judged, world, tmp_path, kind):
    if kind == "no model":
        bad = judged.keras_bundle(tmp_path / "bad", world.manifest.hash)
        (bad.folder / "model.keras").write_text("not a model")
        bad = judged.write(
            bad.folder, world.manifest.hash, name="bad", **_of(bad, "format", "model_path", "preprocessing")
        )
    elif kind == "another input":
        contract = replace(judged.GREY, height=judged.SIDE + 8)
        bad = judged.keras_bundle(tmp_path / "bad", world.manifest.hash, preprocessing=contract, name="bad")
    else:
        bad = judged.keras_bundle(tmp_path / "bad", world.manifest.hash, name="bad")
        model = judged.load().keras.Sequential(
            [
                judged.load().keras.Input((judged.SIDE, judged.SIDE, 1)),
                judged.load().keras.layers.Flatten(),
                judged.load().keras.layers.Dense(3, activation="softmax"),
            ]
        )
        model.save(bad.folder / "model.keras")
        bad = judged.write(
            bad.folder, world.manifest.hash, name="bad", **_of(bad, "format", "model_path", "preprocessing")
        )
    notes: set[str] = set()
    with pytest.raises(InputError, match="bad"):
        compare(
            [world.keras, world.tflite, bad],
            world.manifest,
            output=tmp_path / "out",
            cache_dir=tmp_path / "cache",
            on_progress=lambda done, total, note: notes.add(note),
        )
    assert "trying bad" in notes
    assert not any("scoring" in note or "decoding" in note for note in notes)


def _of(bundle, *names):
    return {name: getattr(bundle.info, name) for name in names}


# results.json


def test_results_hold_the_same_numbers_under_a_version(comparison, document):
    assert (document["schema"], document["schema_version"]) == ("cxr.comparison", 2)
    for row, written in zip(comparison.rows, document["rows"], strict=True):
        assert written["name"] == row.name
        assert written["metrics"]["auc"]["value"] == row.metrics["auc"].value
        assert written["metrics"]["auc"]["low"] == row.metrics["auc"].low
        assert written["confusion"] == row.confusion.tolist()
    assert document["rows"][2]["stand_in"] is True


def test_results_say_where_every_number_comes_from(world, document):
    assert document["manifest"]["hash"] == world.manifest.hash
    assert [row["bundle"]["hash"] for row in document["rows"][:3]] == [bundle.hash for bundle in world.bundles]
    assert document["provenance"]["command"].startswith("cxr compare")
    assert {"cxr", "python", "numpy"} <= set(document["provenance"]["versions"])
    assert document["intervals"] == {
        "method": "patient-cluster bootstrap, percentile; AUC normal on the scale of log odds",
        "level": 0.95,
        "draws": 2000,
        "seed": 20180222,
    }


def test_images_of_unknown_patients_are_not_passed_off_as_patients(judged, world, tmp_path):
    nameless = world.manifest.frame.assign(patient=[f"image:{path}" for path in world.manifest.frame["path"]])
    manifest = new_manifest(nameless, world.manifest.header, world.manifest.location)
    bundle = judged.keras_bundle(tmp_path / "bundle", manifest.hash)
    comparison = compare(
        [bundle], manifest, output=tmp_path / "out", cache_dir=tmp_path / "c", on_progress=judged.quiet
    )
    assert "patients" not in words.headline(comparison)
    assert any("tell no patient" in sentence for sentence in words.summary(comparison))
    assert results(comparison)["unknown_patients"] == comparison.test_set.images


def test_a_class_without_test_images_is_refused_before_any_scoring(world):
    frame = world.manifest.frame.copy()
    frame.loc[frame.index[frame["split"] == "train"][:2], "label"] = "ZEBRA"
    with pytest.raises(InputError, match="no test images of ZEBRA"):
        check_split(new_manifest(frame, world.manifest.header), "test")
