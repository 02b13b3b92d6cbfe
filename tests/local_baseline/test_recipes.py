"""Recipes as data: what the ancestors' nets are, layer by layer, how long they train, and what is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxr.errors import UsageError
from cxr.local_baseline.models.build import build_model, without_scaling
from cxr.local_baseline.models.collapse import finished
from cxr.local_baseline.recipes import (
    CNN5,
    EDGE,
    MOBILENET_V2,
    RECIPES,
    Activation,
    Architecture,
    BackboneKind,
    Budget,
    Pooling,
    Recipe,
    Supervision,
    Trains,
    find_recipe,
)
from cxr.local_baseline.recipes.overrides import has_batch_norm
from cxr.local_baseline.training.supervision import FinerClasses

#: The nets that take seconds to build.
LARGE = {"resnet50-frozen", "vgg16-frozen", "efficientnet-b0", "densenet121"}
EACH_RECIPE = pytest.mark.parametrize(
    "recipe",
    [pytest.param(r, id=r.name, marks=[pytest.mark.slow] if r.name in LARGE else []) for r in RECIPES.values()],
)
#: The same as data, without building anything.
EACH_AS_DATA = pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))


def kinds(recipe: Recipe, classes: int = 2) -> list[str]:
    """The layers between scaling and scores."""
    names = [type(layer).__name__ for layer in build_model(recipe, classes, "none").layers]
    assert names[:2] == ["InputLayer", "Rescaling"]
    return names[2:]


def test_an_unknown_recipe_is_answered_with_the_list() -> None:
    with pytest.raises(UsageError, match="cnn5, vgg16-frozen, cifar-cnn, mobilenet-v2") as error:
        find_recipe("resnet")
    assert error.value.exit_code == 2


def test_every_ancestor_is_there() -> None:
    ancestors = "dense dense-l2 cnn3 cnn3-augmented resnet50-frozen cnn5 vgg16-frozen cifar-cnn"
    assert set(ancestors.split()) <= set(RECIPES)


@pytest.mark.parametrize(
    ("images", "epochs"), [(32, 30), (480, 12), (4100, 5), (1_000_000, 5)], ids=["tiny", "sample", "kermany", "million"]
)
def test_small_sets_train_for_more_epochs(images: int, epochs: int) -> None:
    assert Budget(epochs=5, min_steps=180, max_epochs=30).epochs_for(images, 32) == epochs


def test_dense_is_the_ancestors_net() -> None:
    assert kinds(RECIPES["dense"]) == ["Flatten", "Dense", "Dense", "Identity", "Dense"]
    model = build_model(RECIPES["dense"], 2, "none")
    assert [layer.units for layer in model.layers if type(layer).__name__ == "Dense"] == [32, 8, 1]
    assert model.count_params() == 393_521


def test_cnn3_is_the_ancestors_net_layer_by_layer() -> None:
    model = build_model(RECIPES["cnn3"], 2, "none")
    assert kinds(RECIPES["cnn3"]) == [*["Conv2D", "MaxPooling2D"] * 3, "Flatten", "Dense", "Identity", "Dense"]
    convolutions = [layer for layer in model.layers if type(layer).__name__ == "Conv2D"]
    assert [(layer.filters, layer.kernel_size, layer.padding) for layer in convolutions] == [
        (32, (3, 3), "valid"),
        (32, (4, 4), "valid"),
        (64, (3, 3), "valid"),
    ]
    assert model.get_layer("dense").input.shape[1:] == (6 * 6 * 64,)


def test_cifar_cnn_has_three_pairs_of_convolutions_and_as_many_outputs_as_classes() -> None:
    pair = ["Conv2D", "Conv2D", "MaxPooling2D"]
    assert kinds(RECIPES["cifar-cnn"], 3) == [*pair * 3, "Flatten", "Dense", "Dense", "Identity", "Dense"]
    model = build_model(RECIPES["cifar-cnn"], 3, "none")
    convolutions = [layer for layer in model.layers if type(layer).__name__ == "Conv2D"]
    assert [layer.filters for layer in convolutions] == [32, 64, 128, 128, 256, 256]
    assert {layer.padding for layer in convolutions} == {"same"}
    assert [layer.units for layer in model.layers if type(layer).__name__ == "Dense"] == [1024, 512, 3]


def test_cnn5_is_the_ancestors_net_layer_by_layer() -> None:
    model = build_model(CNN5, 2, "none")
    block = ["Conv2D", "BatchNormalization", "MaxPooling2D"]
    with_dropout = ["Conv2D", "Dropout", "BatchNormalization", "MaxPooling2D"]
    body = [*block, *with_dropout, *block, *with_dropout, *with_dropout]
    assert kinds(CNN5) == [*body, "Flatten", "Dense", "Dropout", "Identity", "Dense"]
    assert model.input_shape == (None, 150, 150, 1)
    assert model.output_shape == (None, 1)


@pytest.mark.parametrize("backbone", [BackboneKind.MOBILENET_V1, BackboneKind.MOBILENET_V2])
def test_the_frozen_ancestors_have_a_dense_head_on_a_flat_feature_map(backbone: BackboneKind) -> None:
    recipe = replace(RECIPES["resnet50-frozen"], backbone=backbone)
    assert kinds(recipe) == ["Functional", "Flatten", "Identity", "Dense", "Dense"]
    assert build_model(recipe, 2, "none").get_layer("head_dense").units == 256
    assert (recipe.pooling, [stage.trains for stage in recipe.pretrained]) == (Pooling.FLATTEN, [Trains.FROZEN])


#: NORMAL, and PNEUMONIA of two etiologies.
ETIOLOGIES = FinerClasses(("NORMAL", "PNEUMONIA (bacterial)", "PNEUMONIA (viral)"), np.arange(3), (0, 1, 1))


@EACH_RECIPE
def test_the_listed_number_of_parameters_is_that_of_the_model_in_a_bundle(recipe: Recipe) -> None:
    finer = ETIOLOGIES if recipe.supervision is Supervision.ETIOLOGY else None
    model = finished(build_model(recipe, 3 if finer else 2, "none"), finer)
    assert recipe.parameters == model.count_params()
    contract = recipe.preprocessing
    assert model.input_shape == (None, contract.height, contract.width, contract.channels)


@EACH_RECIPE
def test_three_classes_end_in_a_softmax(recipe: Recipe) -> None:
    model = build_model(recipe, 3, "none")
    assert model.output_shape == (None, 3)
    assert model.get_layer("scores").activation.__name__ == "softmax"


def test_the_documented_inputs_and_parameters_are_the_recipes() -> None:
    text = (Path(__file__).parents[2] / "docs" / "baseline.md").read_text(encoding="utf-8")
    documented = set()
    for line in text.splitlines():
        names = re.match(r"\| ((?:`[a-z0-9-]+`(?:, )?)+).* \| (\d+x\d+x\d) \| ([\d,]+) \|", line)
        for name in re.findall(r"`([a-z0-9-]+)`", names[1]) if names else ():
            contract = RECIPES[name].preprocessing
            assert names[2] == f"{contract.height}x{contract.width}x{contract.channels}", name
            assert names[3] == f"{RECIPES[name].parameters:,}", name
            documented.add(name)
    assert documented == set(RECIPES)


@EACH_AS_DATA
def test_only_nets_with_batch_norm_are_said_to_have_it(recipe: Recipe) -> None:
    if recipe.name in LARGE and recipe.name != "vgg16-frozen":
        assert has_batch_norm(recipe)  # nets of keras.applications that are named after it or use it throughout
        return
    layers = build_model(recipe, 2, "none")._flatten_layers(include_self=False, recursive=True)
    assert has_batch_norm(recipe) == any(type(layer).__name__ == "BatchNormalization" for layer in layers)


@EACH_AS_DATA
def test_a_recipe_says_where_it_comes_from_and_flips_no_chest(recipe: Recipe) -> None:
    assert recipe.summary
    assert recipe.source
    for stage in (*recipe.scratch, *recipe.pretrained):
        assert not stage.augmentation.horizontal_flip
    assert recipe.preprocessing.scale_inside_model
    words = [stage.trains for stage in recipe.pretrained]
    assert len(set(words)) == len(words)  # stages are told apart by what they train


@EACH_AS_DATA
def test_only_what_stands_on_a_known_net_takes_weights(recipe: Recipe) -> None:
    on_backbone = recipe.architecture is Architecture.BACKBONE
    assert bool(recipe.pretrained) == on_backbone == (recipe.backbone is not None)
    from_weights = recipe.name in {*LARGE, "flagship"}
    assert recipe.default_weights == ("imagenet" if from_weights else "none")
    assert bool(recipe.from_scratch_words("none")) == from_weights


def test_batch_norm_momentum_is_the_recipes_everywhere() -> None:
    for recipe in (CNN5, MOBILENET_V2, EDGE):
        layers = build_model(recipe, 2, "none")._flatten_layers(include_self=False, recursive=True)
        momenta = {layer.momentum for layer in layers if type(layer).__name__ == "BatchNormalization"}
        assert momenta == {recipe.batch_norm_momentum}


@pytest.mark.parametrize("name", ["dense", "cnn3", "cnn5", "cifar-cnn", "edge"])
def test_the_activation_is_the_recipes(name: str) -> None:
    model = build_model(replace(RECIPES[name], activation=Activation.SELU), 2, "none")
    used = {layer.activation.__name__ for layer in model.layers if hasattr(layer, "activation")}
    used.discard("linear")  # a convolution before batch norm
    assert used == {"selu", "softmax" if RECIPES[name].softmax else "sigmoid"}
    assert not [layer for layer in model.layers if type(layer).__name__ == "ReLU"]


def test_a_model_without_scaling_takes_scaled_pixels() -> None:
    model = build_model(EDGE, 2, "none")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3)).astype(np.float32)
    assert np.abs(model(pixels) - without_scaling(model)(pixels / 127.5 - 1)).max() < 1e-6
