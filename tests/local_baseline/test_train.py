"""From a request to a bundle: complete, reproducible, made once, and nothing half-written."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cxr.bundle import Bundle, ModelFormat, Origin, read_bundle
from cxr.compare.predictions.table import predict
from cxr.errors import InputError, UsageError
from cxr.local_baseline.images.cache import cached_images
from cxr.local_baseline.judging.operating_point import choose_operating_point
from cxr.local_baseline.request import TrainRequest
from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.train import train
from cxr.local_baseline.training.distribution import Replicas
from cxr.local_baseline.training.stages import Surroundings
from cxr.manifests.manifest import Manifest, new_manifest


def silent(done: int, total: int, note: str) -> None:
    del done, total, note


def history(bundle: Bundle) -> list[dict[str, str]]:
    with (bundle.folder / "training.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_bundle_says_how_it_was_made(small_bundle: Bundle, small_manifest: Manifest) -> None:
    info = read_bundle(small_bundle.folder).info
    assert (info.name, info.origin, info.format, info.task) == ("cnn5", Origin.BASELINE, ModelFormat.KERAS, "binary")
    assert info.classes == ("NORMAL", "PNEUMONIA")
    assert info.positive_class == "PNEUMONIA"
    assert info.manifest_hash == small_manifest.hash
    assert (info.threshold.chosen_by, info.threshold.chosen_on) == ("max-youden", "validation")
    expected = {"recipe": "cnn5", "seed": 7, "weights": "none", "epochs_run": 1, "parameters": 1_246_401}
    assert expected.items() <= info.provenance.items()
    assert {"training_seconds", "images_per_second", "fingerprint", "command"} <= set(info.provenance)
    assert not info.provenance["command"].startswith("/")
    assert {"cxr", "tensorflow", "keras", "numpy", "python"} <= set(info.versions)
    assert [file.path for file in info.files] == ["model.keras", "training.csv", "training.png"]
    assert [(line["stage"], line["epoch"]) for line in history(small_bundle)] == [("whole", "1")]


def test_temperature_and_threshold_are_those_of_the_validation_images(
    small_bundle: Bundle, small_request: TrainRequest
) -> None:
    manifest, info = small_request.manifest, small_bundle.info
    raw = replace(small_bundle, info=replace(info, calibration=None))
    made = predict(raw, manifest, cache_dir=small_request.cache_dir, split="validation", on_progress=silent)
    truth = (manifest.split("validation")["label"] == "PNEUMONIA").to_numpy().astype(np.int64)
    point = choose_operating_point(made.probabilities(manifest.classes), truth, 1, "validation")
    assert info.threshold.value == pytest.approx(point.threshold.value, abs=1e-5)
    assert (info.calibration is None) == (point.calibration is None)
    if info.calibration and point.calibration:
        assert info.calibration.temperature == pytest.approx(point.calibration.temperature, rel=1e-3)


def test_the_model_gives_probabilities_of_pixels(small_bundle: Bundle, small_request: TrainRequest) -> None:
    model = load().keras.models.load_model(small_bundle.model_path)
    images = cached_images(
        small_request.manifest,
        small_request.images,
        small_bundle.info.preprocessing,
        small_request.cache_dir,
        silent,
    )
    scores = model(np.asarray(images[:5], np.float32)).numpy()
    assert scores.shape == (5, 1)
    assert ((scores >= 0) & (scores <= 1)).all()


def test_a_training_does_not_open_the_test_images(
    make_manifest: Callable[..., Manifest], tmp_path: Path, cache_dir: Path
) -> None:
    manifest = make_manifest(tmp_path / "xrays")
    shutil.rmtree(tmp_path / "xrays" / "test")
    images = str(manifest.root)
    request = TrainRequest(manifest, images, "dense", tmp_path / "run", cache_dir, epochs=1, name="dense")
    assert train(request, silent).info.manifest_hash == manifest.hash


def test_the_same_request_again_returns_the_bundle_untouched(small_bundle: Bundle, small_request: TrainRequest) -> None:
    before = {path: path.stat().st_mtime_ns for path in small_bundle.folder.rglob("*")}
    heard: list[int] = []
    again = train(small_request, lambda done, total, note: heard.append(done))
    assert heard == []
    assert again.hash == small_bundle.hash
    assert {path: path.stat().st_mtime_ns for path in small_bundle.folder.rglob("*")} == before


@pytest.mark.slow
def test_the_same_seed_gives_the_same_history(
    small_bundle: Bundle, small_request: TrainRequest, tmp_path: Path
) -> None:
    again = train(replace(small_request, output=tmp_path / "again"), silent)
    other = train(replace(small_request, output=tmp_path / "other", seed=8), silent)
    first, second, third = (
        [float(history(bundle)[0][name]) for name in ("loss", "val_loss")] for bundle in (small_bundle, again, other)
    )
    assert first == pytest.approx(second, rel=1e-3)
    assert first != pytest.approx(third, rel=1e-3)


@pytest.mark.slow
def test_a_changed_request_replaces_the_bundle_and_tells_every_step(
    small_bundle: Bundle, small_request: TrainRequest, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    shutil.copytree(small_bundle.folder, output)
    heard: list[tuple[int, int]] = []
    second = train(
        replace(small_request, output=output, recipe="edge", epochs=2),
        lambda done, total, note: heard.append((done, total)) if note != "decoding" else None,
    )
    assert heard == [(1, 2), (2, 2)]  # 24 images are one batch
    assert second.info.provenance["recipe"] == "edge"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.slow
def test_three_classes_train_to_a_softmax(make_manifest, small_request: TrainRequest, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    manifest = make_manifest(
        tmp_path / "images", labels=("BACTERIAL", "NORMAL", "VIRAL"), counts={"train": 4, "validation": 2}
    )
    request = replace(
        small_request, manifest=manifest, images=str(manifest.root), recipe="edge", output=tmp_path / "run"
    )
    bundle = train(request, silent)
    assert bundle.info.task == "multiclass"
    assert bundle.info.positive_class == "VIRAL"
    assert load().keras.models.load_model(bundle.model_path).output_shape == (None, 3)


def test_an_interrupted_training_leaves_nothing(small_request: TrainRequest, tmp_path: Path) -> None:
    def interrupt(done: int, total: int, note: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(replace(small_request, output=tmp_path / "run", cache_dir=tmp_path / "cache"), interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_a_folder_with_other_files_is_not_replaced(small_request: TrainRequest, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="holds other files"):
        train(replace(small_request, output=tmp_path), silent)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_no_generator_takes_is_a_usage_error(
    small_request: TrainRequest, tmp_path: Path, seed: int
) -> None:
    with pytest.raises(UsageError, match=f"the seed {seed}: it takes a whole number, 0 to 4294967295"):
        train(replace(small_request, seed=seed, output=tmp_path / "run"), silent)


def test_more_replicas_than_images_in_a_batch_are_refused_before_decoding(
    small_request: TrainRequest, tmp_path: Path
) -> None:
    many = Surroundings(replicas=Replicas(strategy=SimpleNamespace(num_replicas_in_sync=25)))
    request = replace(small_request, output=tmp_path / "run", cache_dir=tmp_path / "cache")
    with pytest.raises(UsageError, match="batches of 24 images cannot be shared by 25 replicas"):
        train(request, silent, surroundings=many)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_recipe_is_a_usage_error(small_request: TrainRequest) -> None:
    with pytest.raises(UsageError, match="there is no recipe 'resnet'"):
        train(replace(small_request, recipe="resnet"), silent)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_an_empty_split_is_answered_with_how_to_make_one(
    small_request: TrainRequest, small_manifest: Manifest, tmp_path: Path, split: str
) -> None:
    frame = small_manifest.frame[small_manifest.frame["split"] != split]
    manifest = new_manifest(frame, small_manifest.header, small_manifest.location)
    with pytest.raises(InputError, match=f"no {split} images") as error:
        train(replace(small_request, manifest=manifest, output=tmp_path / "run"), silent)
    assert "cxr data split" in str(error.value.hint)


def test_one_label_is_nothing_to_tell_apart(
    small_request: TrainRequest, small_manifest: Manifest, tmp_path: Path
) -> None:
    frame = small_manifest.frame[small_manifest.frame["label"] == "NORMAL"]
    manifest = new_manifest(frame, small_manifest.header, small_manifest.location)
    with pytest.raises(InputError, match="one label only"):
        train(replace(small_request, manifest=manifest, output=tmp_path / "run"), silent)


def test_weights_are_refused_by_a_recipe_without_any(small_request: TrainRequest, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cnn5 has no pretrained weights"):
        train(replace(small_request, weights="imagenet", output=tmp_path / "run"), silent)


def test_a_missing_weights_file_is_bad_input(small_request: TrainRequest, tmp_path: Path) -> None:
    request = replace(small_request, recipe="mobilenet-v2", weights=str(tmp_path / "w.h5"), output=tmp_path / "run")
    with pytest.raises(InputError, match="there is no weights file"):
        train(request, silent)


def test_a_file_that_holds_no_weights_is_bad_input(small_request: TrainRequest, tmp_path: Path) -> None:
    weights = tmp_path / "w.weights.h5"
    weights.write_text("no HDF5")
    request = replace(small_request, recipe="mobilenet-v2", weights=str(weights), output=tmp_path / "run")
    with pytest.raises(InputError, match="does not hold weights of MobileNetV2"):
        train(request, silent)


@pytest.mark.slow
def test_pretrained_weights_train_a_head_and_then_fine_tune(small_request: TrainRequest, tmp_path: Path) -> None:
    # A backbone of random weights stands for the pretrained one: the file format and the stages are the same.
    keras = load().keras
    weights = tmp_path / "backbone.weights.h5"
    keras.applications.MobileNetV2(input_shape=(128, 128, 3), alpha=0.35, include_top=False, weights=None).save_weights(
        weights
    )
    request = replace(small_request, recipe="mobilenet-v2", weights=str(weights), output=tmp_path / "run", epochs=1)
    bundle = train(request, silent)
    stages = [line["stage"] for line in history(bundle)]
    assert set(stages) == {"head", "fine-tune"}
    assert stages.count("fine-tune") == 1
    assert bundle.info.provenance["weights"] == "backbone.weights.h5"
    assert bundle.info.provenance["best_stage"] in {"head", "fine-tune"}
    assert json.loads((bundle.folder / "bundle.json").read_text())["preprocessing"]["height"] == 128
