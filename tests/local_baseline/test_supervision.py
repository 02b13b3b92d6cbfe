"""Etiologies as finer classes: which there are, how they add up, and that the shipped model knows the labels only."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxr.local_baseline.exports.tflite import convert
from cxr.local_baseline.images.cache import cached_images
from cxr.local_baseline.judging.scoring import scorer
from cxr.local_baseline.models.build import FEATURES, SCORES, build_model
from cxr.local_baseline.models.collapse import CLASSES, finished
from cxr.local_baseline.recipes import EDGE, NOTHING, BatchNorm, Recipe, Stage, Supervision, Trains
from cxr.local_baseline.request import TrainRequest
from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.train import train, training_data
from cxr.local_baseline.training.pipeline import TrainingData, training_batches
from cxr.local_baseline.training.stages import run_stages
from cxr.local_baseline.training.supervision import FinerClasses, finer_classes, supervision_in_words
from cxr.manifests.manifest import COLUMNS, Manifest, ManifestHeader, new_manifest

pytestmark = pytest.mark.slow

ETIOLOGY = Supervision.ETIOLOGY
FINER = FinerClasses(("NORMAL", "PNEUMONIA (bacterial)", "PNEUMONIA (viral)"), np.array([0, 1, 2, 1, 0]), (0, 1, 1))


def manifest(rows: Sequence[tuple[str, str, str]]) -> Manifest:
    """Of (label, etiology, split)."""
    lines = []
    for number, (label, etiology, split) in enumerate(rows):
        name = f"{number}.jpeg"
        lines.append(
            {
                "path": name,
                "label": label,
                "etiology": etiology,
                "patient": name,
                "split": split,
                "width": 8,
                "height": 8,
                "size": 1,
                "sha256": hashlib.sha256(name.encode()).hexdigest(),
                "crc32c": "",
                "duplicate_group": "",
            }
        )
    return new_manifest(pd.DataFrame(lines, columns=list(COLUMNS)), ManifestHeader(root="."), Path("manifest.csv"))


def many(label: str, etiology: str, count: int, split: str = "train") -> list[tuple[str, str, str]]:
    return [(label, etiology, split)] * count


def test_a_label_with_two_etiologies_is_two_classes_to_the_net() -> None:
    rows = [*many("PNEUMONIA", "viral", 4), *many("NORMAL", "", 5), *many("PNEUMONIA", "bacterial", 6, "train")]
    found = finer_classes(manifest(rows), ETIOLOGY)
    assert found is not None
    assert found.names == ("NORMAL", "PNEUMONIA (bacterial)", "PNEUMONIA (viral)")
    assert found.parents == (0, 1, 1)
    frame = manifest(rows).frame
    expected = {("NORMAL", ""): 0, ("PNEUMONIA", "bacterial"): 1, ("PNEUMONIA", "viral"): 2}
    assert found.labels.tolist() == [expected[pair] for pair in zip(frame["label"], frame["etiology"], strict=True)]


@pytest.mark.parametrize(
    "rows",
    [
        [*many("NORMAL", "", 3), *many("PNEUMONIA", "", 3)],
        [*many("NORMAL", "", 3), *many("BACTERIAL", "bacterial", 3), *many("VIRAL", "viral", 3)],
        [*many("NORMAL", "", 3), *many("PNEUMONIA", "viral", 3), *many("PNEUMONIA", "bacterial", 3, "test")],
    ],
    ids=["no etiologies", "three classes", "one in train"],
)
def test_without_two_etiologies_the_labels_are_what_there_is(rows: list[tuple[str, str, str]]) -> None:
    assert finer_classes(manifest(rows), ETIOLOGY) is None
    assert "says nothing more" in supervision_in_words(ETIOLOGY, None)


def test_labels_are_asked_for_as_they_are() -> None:
    rows = [*many("NORMAL", "", 3), *many("PNEUMONIA", "viral", 3), *many("PNEUMONIA", "bacterial", 3)]
    assert finer_classes(manifest(rows), Supervision.LABELS) is None
    assert supervision_in_words(Supervision.LABELS, None) == "labels"


@pytest.mark.parametrize(("unknown", "parts"), [(1, 2), (20, 3)], ids=["few", "many"])
def test_images_without_an_etiology_are_a_part_when_they_are_many(unknown: int, parts: int) -> None:
    known = [*many("PNEUMONIA", "viral", 20), *many("PNEUMONIA", "bacterial", 30)]
    found = finer_classes(manifest([*many("NORMAL", "", 9), *known, *many("PNEUMONIA", "", unknown)]), ETIOLOGY)
    assert found is not None
    assert found.parents.count(1) == parts
    counts = dict(zip(found.names, np.bincount(found.labels).tolist(), strict=True))
    assert counts["PNEUMONIA (bacterial)"] == (31 if parts == 2 else 30)
    assert counts.get("PNEUMONIA (of unknown etiology)") == (None if parts == 2 else unknown)


def test_an_etiology_that_training_never_saw_is_only_judged() -> None:
    known = [*many("PNEUMONIA", "viral", 2), *many("PNEUMONIA", "bacterial", 3)]
    rows = [*many("NORMAL", "", 3), *known, *many("PNEUMONIA", "fungal", 1, "validation")]
    found = finer_classes(manifest(rows), ETIOLOGY)
    assert found is not None
    assert found.names[found.labels[-1]] == "PNEUMONIA (bacterial)"


def test_parts_add_up_to_classes() -> None:
    assert FINER.membership.tolist() == [[1, 0], [0, 1], [0, 1]]
    collapsed = FINER.collapsed(np.array([[0.2, 0.5, 0.3], [0.9, 0.1, 0.0]]))
    assert collapsed == pytest.approx(np.array([[0.2, 0.8], [0.9, 0.1]]))
    assert FINER.at(np.array([2, 0])).labels.tolist() == [2, 0]


def test_batches_and_weights_are_of_the_finer_classes_and_judging_of_the_labels() -> None:
    images = np.zeros((5, 4, 4, 1), np.uint8)
    data = TrainingData(images, np.array([0, 1, 1, 1, 0]), np.arange(4), np.array([4]), 2, FINER)
    assert data.outputs == 3
    assert data.class_weights() == pytest.approx([4 / 3, 2 / 3, 4 / 3])
    ((_, targets, weights, _),) = training_batches(data, NOTHING, batch_size=9, epochs=1, seed=1, weighted=True)
    assert targets.numpy().tolist() == [0, 1, 2, 1]
    assert weights.numpy() == pytest.approx([4 / 3, 2 / 3, 4 / 3, 2 / 3])
    assert data.judged(np.array([[0.5, 0.25, 0.25]])) == pytest.approx(np.array([[0.5, 0.5]]))


def small_recipe(**changes: object) -> Recipe:
    contract = replace(EDGE.preprocessing, height=32, width=32)
    return replace(EDGE, preprocessing=contract, supervision=ETIOLOGY, batch_size=8, **changes)  # type: ignore[arg-type]


def test_the_finished_model_gives_the_labels_in_every_format(tmp_path: Path) -> None:
    keras, tf = load().keras, load().tf
    net = build_model(small_recipe(), 3, "none")
    model = finished(net, FINER)
    pixels = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype(np.float32)
    fine, scores = net(pixels).numpy(), model(pixels).numpy()
    assert scores == pytest.approx(np.stack([fine[:, 0], fine[:, 1] + fine[:, 2]], axis=1), abs=1e-6)
    assert model.trainable_variables == net.trainable_variables  # the zeros and ones are not among them
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert np.array_equal(again(pixels).numpy(), scores)
    assert [again.get_layer(name).name for name in (FEATURES, SCORES, CLASSES)] == [FEATURES, SCORES, CLASSES]
    lite = tf.lite.Interpreter(model_content=convert(model))
    lite.allocate_tensors()
    lite.set_tensor(lite.get_input_details()[0]["index"], pixels[:1])
    lite.invoke()
    assert lite.get_tensor(lite.get_output_details()[0]["index"]) == pytest.approx(scores[:1], abs=1e-5)


@pytest.fixture(scope="module")
def etiology_manifest(make_manifest, tmp_path_factory: pytest.TempPathFactory) -> Manifest:  # type: ignore[no-untyped-def]
    made = make_manifest(tmp_path_factory.mktemp("etiology"), counts={"train": 8, "validation": 4})
    frame = made.frame.copy()
    sick = frame["label"] == "PNEUMONIA"
    frame.loc[sick, "etiology"] = np.where(np.arange(int(sick.sum())) % 2 == 0, "bacterial", "viral")
    return new_manifest(frame, made.header, made.location)


@pytest.mark.slow
def test_a_training_on_etiologies_ends_in_a_binary_bundle(
    etiology_manifest: Manifest, cache_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cxr.local_baseline.recipes.registry import RECIPES

    recipe = small_recipe(name="small-etiology", weight_average=0.9, label_smoothing=0.05)
    monkeypatch.setitem(RECIPES, recipe.name, recipe)
    root = str(etiology_manifest.root)
    request = TrainRequest(etiology_manifest, root, recipe.name, tmp_path / "run", cache_dir, epochs=1)
    bundle = train(request, lambda done, total, note: None)
    assert bundle.info.classes == ("NORMAL", "PNEUMONIA")
    assert bundle.info.task == "binary"
    assert bundle.info.provenance["supervision"] == (
        "etiology: NORMAL, PNEUMONIA (bacterial), PNEUMONIA (viral); collapsed to the labels inside the model"
    )
    model = load().keras.models.load_model(bundle.model_path)
    assert model.output_shape == (None, 2)
    images = cached_images(etiology_manifest, root, recipe.preprocessing, cache_dir, lambda done, total, note: None)
    assert scorer(model)(images, np.arange(4)).sum(axis=1) == pytest.approx(np.ones(4), abs=1e-6)


def test_a_head_and_batch_norm_that_learns_train_on_etiologies_too(
    etiology_manifest: Manifest, cache_dir: Path
) -> None:
    stage = EDGE.scratch[0]
    stages = (replace(stage, trains=Trains.HEAD, augmentation=NOTHING), fine_tuning(BatchNorm.TRAINED))
    recipe = small_recipe(pretrained=stages, batch_norm_momentum=0.5)
    trained = run(recipe, etiology_manifest, cache_dir)
    assert trained.model.output_shape == (None, 2)
    assert [line.stage for line in trained.history][-1] == "fine-tune"


def fine_tuning(batch_norm: BatchNorm) -> Stage:
    return replace(EDGE.scratch[0], trains=Trains.FINE_TUNE, batch_norm=batch_norm)


@pytest.mark.parametrize("batch_norm", list(BatchNorm))
def test_batch_norm_learns_when_the_stage_says_so(
    batch_norm: BatchNorm, etiology_manifest: Manifest, cache_dir: Path
) -> None:
    recipe = small_recipe(pretrained=(fine_tuning(batch_norm),), batch_norm_momentum=0.5)
    trained = run(recipe, etiology_manifest, cache_dir)
    norms = [layer for layer in trained.model.layers if layer.__class__.__name__ == "BatchNormalization"]
    moved = [not np.allclose(norm.moving_mean.numpy(), 0.0) for norm in norms]
    assert norms
    assert all(moved) if batch_norm is BatchNorm.TRAINED else not any(moved)
    assert {norm.momentum for norm in norms} == {0.5}


def run(recipe: Recipe, of: Manifest, cache_dir: Path):  # type: ignore[no-untyped-def]
    request = TrainRequest(of, str(of.root), "edge", Path("unused"), cache_dir)
    data = training_data(request, recipe, lambda done, total, note: None)
    return run_stages(
        recipe,
        data,
        weights="any",
        epochs=1,
        seed=7,
        positive=1,
        on_progress=lambda done, total, note: None,
        on_epoch=lambda result: None,
    )
