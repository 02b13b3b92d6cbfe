"""Recipes as data: what the ancestors' net is, how long it trains, and what is refused."""

from __future__ import annotations

import pytest

from cxr.errors import UsageError
from cxr.local_baseline.models.build import build_model, without_scaling
from cxr.local_baseline.recipes import CNN5, EDGE, MOBILENET_V2, RECIPES, Budget, Recipe, find_recipe


def test_an_unknown_recipe_is_answered_with_the_list() -> None:
    with pytest.raises(UsageError, match="cnn5, mobilenet-v2, edge, flagship") as error:
        find_recipe("resnet")
    assert error.value.exit_code == 2


@pytest.mark.parametrize(
    ("images", "epochs"), [(32, 30), (480, 12), (4100, 5), (1_000_000, 5)], ids=["tiny", "sample", "kermany", "million"]
)
def test_small_sets_train_for_more_epochs(images: int, epochs: int) -> None:
    assert Budget(epochs=5, min_steps=180, max_epochs=30).epochs_for(images, 32) == epochs


def test_cnn5_is_the_ancestors_net_layer_by_layer() -> None:
    model = build_model(CNN5, 2, "none")
    kinds = [type(layer).__name__ for layer in model.layers]
    block = ["Conv2D", "BatchNormalization", "MaxPooling2D"]
    with_dropout = ["Conv2D", "Dropout", "BatchNormalization", "MaxPooling2D"]
    body = [*block, *with_dropout, *block, *with_dropout, *with_dropout]
    assert kinds == ["InputLayer", "Rescaling", *body, "Flatten", "Dense", "Dropout", "Identity", "Dense"]
    assert model.count_params() == 1_246_401
    assert model.input_shape == (None, 150, 150, 1)
    assert model.output_shape == (None, 1)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_no_recipe_flips_a_chest(recipe: Recipe) -> None:
    for stage in (*recipe.scratch, *recipe.pretrained):
        assert not stage.augmentation.horizontal_flip
    assert recipe.preprocessing.scale_inside_model


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_three_classes_end_in_a_softmax(recipe: Recipe) -> None:
    model = build_model(recipe, 3, "none")
    assert model.output_shape == (None, 3)
    assert model.get_layer("scores").activation.__name__ == "softmax"


def test_batch_norm_momentum_is_the_recipes_everywhere() -> None:
    for recipe in (CNN5, MOBILENET_V2, EDGE):
        layers = build_model(recipe, 2, "none")._flatten_layers(include_self=False, recursive=True)
        momenta = {layer.momentum for layer in layers if type(layer).__name__ == "BatchNormalization"}
        assert momenta == {recipe.batch_norm_momentum}


def test_a_model_without_scaling_takes_scaled_pixels() -> None:
    import numpy as np

    model = build_model(EDGE, 2, "none")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3)).astype(np.float32)
    assert np.abs(model(pixels) - without_scaling(model)(pixels / 127.5 - 1)).max() < 1e-6
