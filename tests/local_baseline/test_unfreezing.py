"""Stages on a pretrained backbone: what each leaves to the optimizer, and that batch norm keeps its statistics."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cxr.local_baseline.models.build import FEATURES, build_model
from cxr.local_baseline.recipes import (
    MOBILENET_V2,
    RECIPES,
    Activation,
    Augmentation,
    BackboneKind,
    Budget,
    Constant,
    Optimizer,
    Recipe,
    Stage,
    Trains,
)
from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.training.fitting import fit_stage
from cxr.local_baseline.training.pipeline import TrainingData
from cxr.local_baseline.training.stages import freeze, run_stages


def data() -> TrainingData:
    """24 images of 32x32x3, the second class brighter."""
    labels = np.arange(24) % 2
    pixels = np.random.default_rng(0).normal(90, 40, (24, 32, 32, 3)) + 40 * labels[:, None, None, None]
    return TrainingData(pixels.clip(0, 255).astype(np.uint8), labels, np.arange(16), np.arange(16, 24), 2)


def stage(trains: Trains, layers: int | None = None) -> Stage:
    old = MOBILENET_V2.pretrained[-1]
    return replace(
        old,
        trains=trains,
        budget=Budget(1, 0, 1),
        optimizer=Optimizer(1e-2),
        schedule=Constant(),
        augmentation=Augmentation() if trains is Trains.HEAD else old.augmentation,
        unfreeze_layers=layers,
    )


def recipe(*stages: Stage) -> Recipe:
    """MobileNet, the smallest of the backbones, on 32x32 with these stages and a hidden layer."""
    contract = replace(MOBILENET_V2.preprocessing, height=32, width=32)
    backbone = BackboneKind.MOBILENET_V1
    return replace(
        MOBILENET_V2,
        backbone=backbone,
        preprocessing=contract,
        pretrained=stages,
        head_units=4,
        activation=Activation.ELU,  # never dead
        batch_size=8,
    )


@pytest.fixture(scope="module")
def backbone_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A MobileNet with random weights and the statistics of the images, so that they reach its end."""
    path = tmp_path_factory.mktemp("weights") / "backbone.weights.h5"
    keras = load().keras
    keras.utils.set_random_seed(3)
    net = keras.applications.MobileNet(input_shape=(32, 32, 3), alpha=0.25, include_top=False, weights=None)
    for layer in net.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    net(data().images / 127.5 - 1, training=True)
    net.save_weights(path)
    return str(path)


def trained_layers(backbone_file: str, *stages: Stage) -> list[str]:
    """Layers whose variables the stages changed, in the order of the model."""
    wanted = recipe(*stages)
    load().keras.utils.set_random_seed(7)
    before = build_model(wanted, 2, backbone_file)
    history: list[Any] = []
    after = run_stages(
        wanted,
        data(),
        weights=backbone_file,
        epochs=None,
        seed=7,
        positive=1,
        on_progress=lambda done, total, note: None,
        on_epoch=history.append,
    ).model
    assert list(dict.fromkeys(line.stage for line in history)) == [stage.trains.value for stage in stages]
    return [
        old.name
        for old, new in zip(flat(before), flat(after), strict=True)
        if not isinstance(old, load().keras.layers.Dropout)
        and any(not np.array_equal(a, b) for a, b in zip(old.get_weights(), new.get_weights(), strict=True))
    ]


def flat(model: Any) -> list[Any]:
    """All layers from input to output."""
    nested = [flat(layer) if hasattr(layer, "layers") else [layer] for layer in model.layers]
    return [layer for group in nested for layer in group]


@pytest.mark.parametrize("trains", [Trains.HEAD, Trains.FROZEN])
def test_a_frozen_backbone_stays_what_it_was(backbone_file: str, trains: Trains) -> None:
    assert trained_layers(backbone_file, stage(trains)) == ["head_dense", "scores"]


@pytest.mark.slow
def test_unfreezing_the_last_layers_changes_these_and_no_statistics(backbone_file: str) -> None:
    changed = trained_layers(backbone_file, stage(Trains.LAST_BLOCK, 3))
    assert changed == ["conv_pw_12", "conv_dw_13", "conv_pw_13", "head_dense", "scores"]


def test_a_later_stage_unfreezes_what_an_earlier_one_froze(backbone_file: str) -> None:
    model = build_model(recipe(stage(Trains.HEAD)), 2, backbone_file)
    layers = load().keras.layers

    def free() -> int:
        return sum(bool(layer.trainable_variables) for layer in flat(model) if isinstance(layer, layers.Conv2D))

    freeze(model, 0)
    assert free() == 0
    freeze(model, 2)
    few = free()
    freeze(model, None)
    assert 0 < few < free()
    assert not any(layer.trainable for layer in flat(model) if isinstance(layer, layers.BatchNormalization))


@pytest.mark.slow
def test_gradual_unfreezing_trains_more_with_each_stage_and_no_statistics(backbone_file: str) -> None:
    last_block, all_of_it = stage(Trains.LAST_BLOCK, 3), stage(Trains.FINE_TUNE)
    wanted = recipe(last_block, all_of_it)
    model = build_model(wanted, 2, backbone_file)
    changed = []
    for part in (last_block, all_of_it):
        before = {layer.name: layer.get_weights() for layer in flat(model)}
        freeze(model, part.unfreeze_layers)
        fit_stage(
            model,
            data(),
            wanted,
            part,
            positive=1,
            epochs=1,
            seed=7,
            on_step=lambda step, loss: None,
            on_epoch=lambda result: None,
        )
        same = {
            layer.name for layer in flat(model) if all(map(np.array_equal, layer.get_weights(), before[layer.name]))
        }
        changed.append({layer.name for layer in flat(model)} - same - {"dropout"})
    first, second = changed
    assert first == {"conv_pw_12", "conv_dw_13", "conv_pw_13", "head_dense", "scores"}
    assert first | {"conv1", "conv_dw_1", "conv_pw_1"} <= second
    assert not [name for name in second if name.endswith("bn")]


def test_a_head_is_trained_on_what_the_features_layer_gives(backbone_file: str) -> None:
    model = build_model(recipe(stage(Trains.HEAD)), 2, backbone_file)
    names = [layer.name for layer in model.layers]
    assert names[names.index(FEATURES) :] == [FEATURES, "head_dense", "dropout", "scores"]


@pytest.mark.parametrize("name", ["efficientnet-b0", "densenet121"])
def test_transfer_goes_from_the_head_to_the_last_block_to_all(name: str) -> None:
    stages = RECIPES[name].pretrained
    assert [stage.trains for stage in stages] == [Trains.HEAD, Trains.LAST_BLOCK, Trains.FINE_TUNE]
    rates = [stage.optimizer.learning_rate for stage in stages]
    assert rates == sorted(rates, reverse=True)
    assert stages[1].unfreeze_layers
    assert stages[2].unfreeze_layers is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "first"), [("efficientnet-b0", "block7a_expand_conv"), ("densenet121", "conv5_block1_1_conv")]
)
def test_the_last_block_is_a_whole_block(name: str, first: str) -> None:
    model = build_model(RECIPES[name], 2, "none")
    freeze(model, RECIPES[name].pretrained[1].unfreeze_layers)
    layers = load().keras.layers
    kinds = (layers.Conv2D, layers.DepthwiseConv2D)
    free = [layer.name for layer in flat(model) if isinstance(layer, kinds) and layer.trainable]
    assert free[0] == first
