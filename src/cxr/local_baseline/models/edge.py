"""The stand-in's edge net: shrink by averaging, then separable blocks of convolution, batch norm, relu (an order
that folds)."""

from __future__ import annotations

from typing import Any

from cxr.local_baseline.models.layers import activation_layer
from cxr.local_baseline.recipes import Recipe
from cxr.local_baseline.tensorflow_setup import load

#: (filters, stride) of each separable block.
BLOCKS = ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1))
STEM_FILTERS = 16


def edge_features(scaled: Any, recipe: Recipe, weights: str) -> Any:
    """Features [N, 128] of a scaled image [N, 224, 224, 3]. It has no pretrained weights."""
    del weights
    layers = load().keras.layers
    x = layers.AveragePooling2D(2, name="shrink")(scaled)
    x = _normalised(layers.Conv2D(STEM_FILTERS, 3, strides=2, padding="same", use_bias=False, name="stem"), x, recipe)
    for number, (filters, stride) in enumerate(BLOCKS, start=1):
        depthwise = layers.DepthwiseConv2D(
            3, strides=stride, padding="same", use_bias=False, name=f"block{number}_depthwise"
        )
        x = _normalised(depthwise, x, recipe)
        x = _normalised(layers.Conv2D(filters, 1, use_bias=False, name=f"block{number}_pointwise"), x, recipe)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    return layers.Dropout(recipe.dropout, name="dropout")(x)


def _normalised(layer: Any, x: Any, recipe: Recipe) -> Any:
    layers = load().keras.layers
    x = layers.BatchNormalization(momentum=recipe.batch_norm_momentum, name=f"{layer.name}_norm")(layer(x))
    return activation_layer(recipe, f"{layer.name}_relu")(x)
