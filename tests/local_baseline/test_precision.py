"""Trained in bfloat16, kept in float32: the bundle computes as every export does, and says nearly what was trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from cxr.bundle import Bundle
from cxr.local_baseline.exports.tflite import TfliteForm, export_tflite
from cxr.local_baseline.images.cache import cached_images
from cxr.local_baseline.models.build import build_model, in_float32
from cxr.local_baseline.recipes import CNN5, MOBILENET_V2, RECIPES, Precision, Recipe
from cxr.local_baseline.recipes.overrides import parse_overrides
from cxr.local_baseline.request import TrainRequest
from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.train import train

EFFICIENTNET_B0 = RECIPES["efficientnet-b0"]


def silent(done: int, total: int, note: str) -> None:
    del done, total, note


@pytest.fixture(scope="module")
def bundle(small_request: TrainRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """cnn5 on the small data set, an epoch in bfloat16."""
    overrides = parse_overrides(["precision=bfloat16", "batch_size=8"])
    output = tmp_path_factory.mktemp("bfloat16") / "run"
    return train(replace(small_request, overrides=overrides, output=output), silent)


@pytest.mark.parametrize(
    "recipe", [CNN5, pytest.param(MOBILENET_V2, marks=pytest.mark.slow)], ids=lambda recipe: recipe.name
)
def test_the_rebuilt_model_has_the_weights_and_nearly_the_scores(recipe: Recipe) -> None:
    load().keras.utils.set_random_seed(3)
    recipe = replace(recipe, precision=Precision.BFLOAT16)
    trained = build_model(recipe, 2, "none")
    assert trained.get_layer("features").compute_dtype == "bfloat16"
    rng = np.random.default_rng(0)
    # Weights away from where they began, so that batch norm and biases count.
    trained.set_weights([values + rng.normal(0, 0.02, values.shape) ** 2 for values in trained.get_weights()])
    kept = in_float32(trained, recipe)
    layers = list(kept._flatten_layers(include_self=False, recursive=True))
    assert {layer.compute_dtype for layer in layers} == {"float32"}
    for before, after in zip(trained.get_weights(), kept.get_weights(), strict=True):
        assert np.array_equal(before, after)
    contract = recipe.preprocessing
    images = rng.integers(0, 256, (8, contract.height, contract.width, contract.channels)).astype(np.float32)
    difference = np.abs(trained(images, training=False).numpy() - kept(images, training=False).numpy())
    assert difference.max() < 0.01


@pytest.mark.slow
def test_a_net_whose_weights_came_from_a_file_is_kept_as_it_was_built(tmp_path: Path) -> None:
    keras = load().keras
    keras.utils.set_random_seed(3)
    net = keras.applications.EfficientNetB0(input_shape=(32, 32, 3), include_top=False, weights=None)
    rng = np.random.default_rng(0)
    # Weights away from where they began: statistics of the normalisation other than 0 and 1 too.
    net.set_weights([values + rng.normal(0, 0.02, values.shape) ** 2 + 0.01 for values in net.get_weights()])
    net.save_weights(tmp_path / "net.weights.h5")
    small = replace(EFFICIENTNET_B0.preprocessing, height=32, width=32)
    recipe = replace(EFFICIENTNET_B0, preprocessing=small, precision=Precision.BFLOAT16)
    trained = build_model(recipe, 2, str(tmp_path / "net.weights.h5"))
    kept = in_float32(trained, recipe)
    assert (
        kept.get_layer("channel_scaling").get_config()["scale"]
        == (trained.get_layer("channel_scaling").get_config()["scale"])
    )
    in_float = build_model(replace(recipe, precision=Precision.FLOAT32), 2, str(tmp_path / "net.weights.h5"))
    in_float.set_weights(kept.get_weights())
    images = rng.integers(0, 256, (4, 32, 32, 3)).astype(np.float32)
    assert np.allclose(features_of(kept, images), features_of(in_float, images), atol=1e-6)


def features_of(model: Any, images: Any) -> Any:
    return load().keras.Model(model.input, model.get_layer("features").output)(images, training=False).numpy()


def test_layers_made_later_compute_in_float32_again() -> None:
    build_model(replace(CNN5, precision=Precision.BFLOAT16), 2, "none")
    assert load().keras.layers.Dense(1).compute_dtype == "float32"


@pytest.mark.slow
def test_the_bundle_is_float32_and_its_exports_agree(
    bundle: Bundle, small_request: TrainRequest, tmp_path: Path
) -> None:
    model = load().keras.models.load_model(bundle.model_path)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert bundle.info.provenance["overrides"]["precision"] == "bfloat16"
    images = cached_images(
        small_request.manifest, small_request.images, bundle.info.preprocessing, small_request.cache_dir, silent
    )
    export_tflite(model, tmp_path / "model.tflite", ("NORMAL", "PNEUMONIA"), form=TfliteForm.FLOAT32)
    lite = Interpreter(str(tmp_path / "model.tflite"))
    lite.allocate_tensors()
    for image in images[:3]:
        pixels = image[None].astype(np.float32)
        lite.set_tensor(lite.get_input_details()[0]["index"], pixels)
        lite.invoke()
        scores = lite.get_tensor(lite.get_output_details()[0]["index"])[0]
        assert scores[1] == pytest.approx(float(model(pixels, training=False)[0, 0]), abs=1e-4)


@pytest.mark.slow
def test_a_head_trains_on_features_of_a_bfloat16_backbone(small_request: TrainRequest, tmp_path: Path) -> None:
    weights = tmp_path / "backbone.weights.h5"
    load().keras.applications.MobileNetV2(
        input_shape=(128, 128, 3), alpha=0.35, include_top=False, weights=None
    ).save_weights(weights)
    request = replace(
        small_request,
        recipe="mobilenet-v2",
        weights=str(weights),
        epochs=1,
        output=tmp_path / "run",
        overrides=parse_overrides(["precision=bfloat16", "head.budget.min_steps=1", "head.budget.epochs=1"]),
    )
    made = train(request, silent)
    assert {line.split(",")[0] for line in (made.folder / "training.csv").read_text().splitlines()[1:]} == {
        "head",
        "fine-tune",
    }
