"""Predictions are made once, read back exactly, and never mixed with another manifest's."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from cxr.compare.predictions.table import predict, read_predictions, write_predictions
from cxr.errors import InputError, RulerMismatch


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def predictions(judged, world, cache):
    return predict(world.keras, world.manifest, cache_dir=cache, on_progress=judged.quiet)


@pytest.fixture
def written(predictions, tmp_path):
    write_predictions(predictions, tmp_path / "predictions")
    return tmp_path / "predictions"


def test_every_test_image_has_one_row_that_names_its_patient(world, predictions):
    rows = world.manifest.split("test")
    assert predictions.frame["path"].tolist() == rows["path"].tolist()
    assert predictions.frame["patient"].tolist() == rows["patient"].tolist()
    assert list(predictions.frame.columns) == ["path", "patient", "label", "split", "p_NORMAL", "p_PNEUMONIA"]


def test_the_probabilities_are_the_models_own(judged, world, predictions):
    from cxr.local_baseline.images.preprocess import load_image

    rows = world.manifest.split("test")
    images = np.stack([load_image(world.folder / "images" / path, judged.GREY) for path in rows["path"]])
    expected = judged.grey_model()(images.astype(np.float32)).numpy()[:, 0]
    assert np.allclose(predictions.probabilities(("PNEUMONIA", "NORMAL"))[:, 0], expected, atol=1e-6)


def test_the_header_names_bundle_and_manifest(world, predictions):
    header = predictions.header
    assert (header.bundle_hash, header.manifest_hash) == (world.keras.hash, world.manifest.hash)
    assert (header.bundle_name, header.task, header.stand_in, header.images) == ("cnn5", "binary", False, 60)
    assert header.latency_ms > 0


def test_a_second_call_reads_the_cache_and_loads_no_model(judged, world, cache, predictions):
    seen: list[str] = []
    again = predict(world.keras, world.manifest, cache_dir=cache, on_progress=lambda *step: seen.append(step[2]))
    assert again.header == predictions.header
    assert np.array_equal(again.probabilities(judged.CLASSES), predictions.probabilities(judged.CLASSES))
    assert seen == []


def test_a_torn_cache_is_scored_again(judged, world, tmp_path):
    first = predict(world.keras, world.manifest, cache_dir=tmp_path, on_progress=judged.quiet)
    rows = next((tmp_path / "predictions").rglob("predictions.csv"))
    rows.write_text(rows.read_text()[:-40])
    again = predict(world.keras, world.manifest, cache_dir=tmp_path, on_progress=judged.quiet)
    assert np.allclose(again.probabilities(judged.CLASSES), first.probabilities(judged.CLASSES))
    assert read_predictions(rows.parent, world.manifest).header == again.header


def test_images_decoded_for_training_are_used_again(judged, world, tmp_path):
    from cxr.local_baseline.images.cache import cached_images

    root = str(world.folder / "images")
    cached_images(world.manifest, root, judged.GREY, tmp_path, judged.quiet)
    notes: set[str] = set()
    predict(
        world.keras,
        world.manifest,
        images="/nowhere",
        cache_dir=tmp_path,
        on_progress=lambda *step: notes.add(step[2].split()[0]),
    )
    assert notes == {"loading", "scoring"}


def test_images_may_lie_elsewhere_than_the_manifest_says(judged, world, tmp_path):
    shutil.copytree(world.folder / "images", tmp_path / "moved")
    made = predict(
        world.keras, world.manifest, images=str(tmp_path / "moved"), cache_dir=tmp_path, on_progress=judged.quiet
    )
    assert made.header.images == 60


def test_a_missing_image_is_named(judged, world, tmp_path):
    shutil.copytree(world.folder / "images", tmp_path / "images")
    gone = world.manifest.split("test")["path"].iloc[3]
    (tmp_path / "images" / gone).unlink()
    with pytest.raises(InputError, match=gone):
        predict(
            world.keras, world.manifest, images=str(tmp_path / "images"), cache_dir=tmp_path, on_progress=judged.quiet
        )
    shutil.copyfile(world.folder / "images" / gone, tmp_path / "images" / gone)
    again = predict(
        world.keras, world.manifest, images=str(tmp_path / "images"), cache_dir=tmp_path, on_progress=judged.quiet
    )
    whole = predict(world.keras, world.manifest, images=None, cache_dir=tmp_path / "other", on_progress=judged.quiet)
    assert again.frame.equals(whole.frame), "what was decoded before the error is right"


def test_reading_gives_back_what_was_written_to_the_last_bit(judged, world, predictions, written):
    read = read_predictions(written, world.manifest)
    assert np.array_equal(read.probabilities(judged.CLASSES), predictions.probabilities(judged.CLASSES))
    assert read.frame["label"].tolist() == predictions.frame["label"].tolist()


def test_predictions_of_another_manifest_are_refused_naming_both(judged, world, written, tmp_path):
    other = judged.make_manifest(tmp_path / "other", seed=6)
    with pytest.raises(RulerMismatch) as caught:
        read_predictions(written, other)
    assert world.manifest.hash[:12] in caught.value.message
    assert other.hash[:12] in caught.value.message
    assert caught.value.exit_code == 5
    assert caught.value.hint


def test_a_bundle_of_another_manifest_is_refused_before_anything_is_read(judged, world, tmp_path):
    other = judged.make_manifest(tmp_path / "other", seed=6)
    with pytest.raises(RulerMismatch) as caught:
        predict(world.keras, other, cache_dir=tmp_path / "cache", on_progress=judged.quiet)
    assert world.manifest.hash[:12] in caught.value.message
    assert other.hash[:12] in caught.value.message
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        pytest.param(lambda text: text.replace(",NORMAL,", ",PNEUMONIA,", 1), "edited", id="a label changed"),
        pytest.param(lambda text: text[:-30], "edited", id="half of it"),
    ],
)
def test_edited_rows_are_refused(world, written, edit, reason):
    rows = written / "predictions.csv"
    rows.write_text(edit(rows.read_text()))
    with pytest.raises(InputError, match=reason):
        read_predictions(written, world.manifest)


def test_rows_that_are_not_the_manifests_are_refused_even_when_the_hash_was_mended(world, predictions, tmp_path):
    from cxr.compare.predictions.table import Predictions

    write_predictions(Predictions(predictions.frame.iloc[:-1], predictions.header), tmp_path)
    with pytest.raises(InputError, match="does not list the 60 test images"):
        read_predictions(tmp_path, world.manifest)


def test_a_probability_outside_0_and_1_is_refused_with_its_row(world, predictions, tmp_path):
    from cxr.compare.predictions.table import Predictions

    frame = predictions.frame.copy()
    frame.loc[4, "p_NORMAL"] = 1.5
    write_predictions(Predictions(frame, predictions.header), tmp_path)
    with pytest.raises(InputError, match=r"row 6: test/"):
        read_predictions(tmp_path, world.manifest)


def test_a_folder_without_a_header_holds_no_predictions(world, written):
    (written / "predictions.json").unlink()
    with pytest.raises(InputError, match="there are no predictions"):
        read_predictions(written, world.manifest)


def test_a_later_schema_is_refused(world, written):
    header = json.loads((written / "predictions.json").read_text())
    (written / "predictions.json").write_text(json.dumps(header | {"schema_version": 99}))
    with pytest.raises(InputError, match="schema version 1"):
        read_predictions(written, world.manifest)
