"""Each recipe makes a bundle in one epoch; the large nets with random weights, because theirs are not at hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxr.local_baseline.images.cache import cached_images
from cxr.local_baseline.recipes import RECIPES, Supervision
from cxr.local_baseline.request import TrainRequest
from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.train import train

QUICK = ("dense", "dense-l2", "cnn3", "cnn3-augmented", "cifar-cnn")


def silent(done: int, total: int, note: str) -> None:
    del done, total, note


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in RECIPES]
)
def test_a_recipe_ends_in_a_bundle_whose_model_gives_probabilities(
    name: str, small_request: TrainRequest, tmp_path: Path
) -> None:
    request = replace(small_request, recipe=name, name=name, output=tmp_path / name, weights="none")
    bundle = train(request, silent)
    provenance = bundle.info.provenance
    assert (provenance["recipe"], provenance["epochs_run"]) == (name, 1)
    if RECIPES[name].supervision is Supervision.LABELS:  # these images have no etiologies to tell apart
        assert provenance["parameters"] == RECIPES[name].parameters
    assert provenance["deviations"] == list(RECIPES[name].deviations)
    contract = bundle.info.preprocessing
    images = cached_images(request.manifest, request.images, contract, request.cache_dir, silent)
    scores = load().keras.models.load_model(bundle.model_path)(np.asarray(images[:3], np.float32)).numpy()
    assert ((scores >= 0) & (scores <= 1)).all()


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["resnet50-frozen", "vgg16-frozen"])
def test_a_frozen_recipe_trains_on_a_small_backbone_from_a_file(
    recipe: str, small_request: TrainRequest, tmp_path: Path
) -> None:
    keras = load().keras
    side = RECIPES[recipe].preprocessing.height
    weights = tmp_path / "net.weights.h5"
    keras.applications.MobileNet(input_shape=(side, side, 3), alpha=0.25, include_top=False, weights=None).save_weights(
        weights
    )
    request = replace(
        small_request,
        recipe=recipe,
        output=tmp_path / "run",
        weights=str(weights),
        overrides={"backbone": "mobilenet-v1"},
    )
    bundle = train(request, silent)
    assert bundle.info.provenance["best_stage"] == RECIPES[recipe].pretrained[0].trains.value
    assert bundle.info.preprocessing.offset == -1.0
    model = keras.models.load_model(bundle.model_path)
    kept = keras.applications.MobileNet(
        input_shape=(side, side, 3), alpha=0.25, include_top=False, weights=str(weights)
    )
    for ours, theirs in zip(model.get_layer("backbone").get_weights(), kept.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)
