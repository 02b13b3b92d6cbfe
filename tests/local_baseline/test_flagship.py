"""The flagship: as small as a browser wants it, grey inside, taught on etiologies."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxr.local_baseline.exports.tfjs import export_tfjs
from cxr.local_baseline.models.build import build_model
from cxr.local_baseline.models.collapse import finished
from cxr.local_baseline.recipes import FLAGSHIP, BatchNorm, Recipe, Supervision
from cxr.local_baseline.recipes.overrides import apply_overrides, parse_overrides
from cxr.local_baseline.request import TrainRequest
from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.train import train
from cxr.local_baseline.training.supervision import FinerClasses

FINER = FinerClasses(("NORMAL", "PNEUMONIA (bacterial)", "PNEUMONIA (viral)"), np.arange(3), (0, 1, 1))
#: What the model may weigh in half precision, and how many parameters it may have.
MOST_BYTES, MOST_PARAMETERS = 1_000_000, 500_000


def test_its_parameters_weigh_at_most_a_megabyte_in_half_precision() -> None:
    model = finished(build_model(FLAGSHIP, 3, "none"), FINER)
    assert model.count_params() == FLAGSHIP.parameters
    assert model.count_params() <= MOST_PARAMETERS
    assert 2 * model.count_params() <= MOST_BYTES


@pytest.mark.slow
def test_its_export_weighs_at_most_a_megabyte_in_half_precision(tmp_path: Path) -> None:
    model = finished(build_model(FLAGSHIP, 3, "none"), FINER)
    export_tfjs(model, tmp_path, batch_size=1)
    topology = len(json.dumps(json.loads((tmp_path / "model.json").read_text())["modelTopology"]))
    weights = sum(path.stat().st_size for path in tmp_path.glob("*.bin"))
    assert weights > MOST_BYTES  # the export is in float32: half of it counts
    assert weights // 2 <= MOST_BYTES
    assert weights // 2 + topology // 4 <= MOST_BYTES  # served compressed, the graph is a tenth of its text


def test_every_convolution_is_followed_by_the_batch_norm_that_folds_into_it() -> None:
    backbone = build_model(FLAGSHIP, 3, "none").get_layer("backbone")
    for layer in backbone.layers:
        if layer.__class__.__name__ in {"Conv2D", "DepthwiseConv2D"}:
            (after,) = [node.operation for node in layer._outbound_nodes]
            assert after.__class__.__name__ == "BatchNormalization"
            assert not layer.use_bias


def test_one_channel_is_seen_as_three_equal_ones() -> None:
    grey = build_model(FLAGSHIP, 3, "none")
    colour = build_model(replace(FLAGSHIP, preprocessing=replace(FLAGSHIP.preprocessing, channels=3)), 3, "none")
    colour.set_weights(grey.get_weights())
    contract = FLAGSHIP.preprocessing
    pixels = np.random.default_rng(0).uniform(0, 255, (2, contract.height, contract.width, 1)).astype(np.float32)
    three = np.repeat(pixels, 3, axis=-1)
    assert np.allclose(grey(pixels), colour(three), atol=1e-6)


def test_it_is_taught_on_etiologies_with_all_that_makes_it_robust() -> None:
    assert FLAGSHIP.supervision is Supervision.ETIOLOGY
    assert FLAGSHIP.weight_average > 0
    assert not FLAGSHIP.teachers
    assert all(stage.early_stopping.keep_last for stage in (*FLAGSHIP.scratch, *FLAGSHIP.pretrained))
    assert all(stage.batch_norm is BatchNorm.TRAINED for stage in FLAGSHIP.pretrained)
    for stage in (*FLAGSHIP.scratch, *FLAGSHIP.pretrained):
        assert stage.augmentation.bands
        assert not stage.augmentation.horizontal_flip


@pytest.mark.parametrize("text", ["weight_average=0.9", "label_smoothing=0.1", "augmentation.bands=0.3"])
def test_its_parts_can_be_switched_and_changed(text: str) -> None:
    changed = apply_overrides(FLAGSHIP, parse_overrides([text]), "imagenet")
    assert changed != FLAGSHIP
    assert isinstance(changed, Recipe)


@pytest.mark.slow
def test_it_trains_from_weights_to_a_bundle_of_one_megabyte(make_manifest, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    weights = tmp_path / "backbone.weights.h5"
    contract = FLAGSHIP.preprocessing
    load().keras.applications.MobileNetV2(
        input_shape=(contract.height, contract.width, 3), alpha=0.35, include_top=False, weights=None
    ).save_weights(weights)
    manifest = make_manifest(tmp_path / "images")
    request = TrainRequest(
        manifest, str(manifest.root), "flagship", tmp_path / "run", tmp_path / "cache", epochs=1, weights=str(weights)
    )
    bundle = train(request, lambda done, total, note: None)
    assert bundle.info.provenance["parameters"] <= MOST_PARAMETERS
    assert "says nothing more" in bundle.info.provenance["supervision"]
