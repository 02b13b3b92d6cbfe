"""From a recipe to a Keras model that takes pixels 0..255 and returns probabilities."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cxr.local_baseline.models.backbone import backbone_features, backbone_head
from cxr.local_baseline.models.dense import dense_features
from cxr.local_baseline.models.edge import edge_features
from cxr.local_baseline.models.five_block import five_block_features
from cxr.local_baseline.models.penalties import penalise
from cxr.local_baseline.models.six_convolutions import six_convolution_features
from cxr.local_baseline.models.three_block import three_block_features
from cxr.local_baseline.recipes import Architecture, Precision, Recipe
from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.training.distribution import copy_variables

#: Name of the layer that ends what is computed once for a head, and of the probabilities' layer, in every model.
FEATURES = "features"
SCORES = "scores"

#: (scaled input tensor, recipe, weights) -> features [N, F].
Backbone = Callable[[Any, Recipe, str], Any]

BACKBONES: dict[Architecture, Backbone] = {
    Architecture.DENSE: dense_features,
    Architecture.THREE_BLOCK: three_block_features,
    Architecture.FIVE_BLOCK: five_block_features,
    Architecture.SIX_CONVOLUTIONS: six_convolution_features,
    Architecture.BACKBONE: backbone_features,
    Architecture.EDGE: edge_features,
}


def build_model(recipe: Recipe, classes: int, weights: str) -> Any:
    """A Keras model: float32 [N, H, W, C] of 0..255 (scaling inside) to float32 [N, 1] (sigmoid: the probability of
    class 1) for two classes, or [N, classes] (softmax) for more, or when the recipe always wants softmax."""
    keras = load().keras
    contract = recipe.preprocessing
    with _computing_in(keras, recipe.precision):
        image = keras.Input((contract.height, contract.width, contract.channels), name="image")
        scaled = keras.layers.Rescaling(contract.scale, contract.offset, dtype="float32", name="scaling")(image)
        x = keras.layers.Identity(name=FEATURES)(BACKBONES[recipe.architecture](scaled, recipe, weights))
        if recipe.architecture is Architecture.BACKBONE:
            x = backbone_head(x, recipe)
        model = keras.Model(image, _scores(keras, x, recipe, classes), name=keras_name(recipe.name))
        penalise(model, recipe)
        return model


def keras_name(name: str) -> str:
    """A name that Keras and TensorFlow take for a model, of one that people gave."""
    return re.sub(r"[^A-Za-z0-9_]", "_", name).lstrip("_") or "model"


def in_float32(model: Any, recipe: Recipe) -> Any:
    """A trained model with the same weights that computes in float32: what a bundle holds, since no export takes
    another (the model itself when it does already)."""
    if recipe.precision is Precision.FLOAT32:
        return model
    # Copied, not built anew: what a net does to pixels depends on where its weights came from.
    copy = load().keras.models.clone_model(model, clone_function=_float32_layer, recursive=True)
    copy_variables(model, copy)
    return copy


def _float32_layer(layer: Any) -> Any:
    return layer.__class__.from_config({**layer.get_config(), "dtype": "float32"})


@contextmanager
def _computing_in(keras: Any, precision: Precision) -> Iterator[None]:
    """Layers made in the block compute in `precision`, with weights in float32."""
    before = keras.config.dtype_policy()
    if precision is Precision.BFLOAT16:
        keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def without_scaling(model: Any) -> Any:
    """The same layers and weights, but with an input that is scaled already (what the AutoML contract's TF.js model
    takes)."""
    keras = load().keras
    scaled = model.get_layer("scaling").output
    return keras.Model(scaled, model.output, name=model.name)


def _scores(keras: Any, features: Any, recipe: Recipe, classes: int) -> Any:
    if classes == 2 and not recipe.softmax:
        return keras.layers.Dense(1, activation="sigmoid", dtype="float32", name=SCORES)(features)
    return keras.layers.Dense(classes, activation="softmax", dtype="float32", name=SCORES)(features)
