"""The three-block CNN of the ancestors: convolution without padding, relu, pool; then one hidden dense layer."""

from __future__ import annotations

from typing import Any

from cxr.local_baseline.models.layers import dropout
from cxr.local_baseline.recipes import Recipe
from cxr.local_baseline.tensorflow_setup import load

#: (filters, side of the kernel) of each block.
BLOCKS = ((32, 3), (32, 4), (64, 3))
DENSE_UNITS = 64


def three_block_features(scaled: Any, recipe: Recipe, weights: str) -> Any:
    """Features [N, 64] of a scaled image [N, H, W, C]. It has no pretrained weights."""
    del weights
    layers = load().keras.layers
    x = scaled
    for number, (filters, side) in enumerate(BLOCKS, start=1):
        x = layers.Conv2D(filters, side, activation=recipe.activation, name=f"block{number}_conv")(x)
        x = layers.MaxPooling2D(2, name=f"block{number}_pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(DENSE_UNITS, activation=recipe.activation, name="dense")(x)
    return dropout(x, recipe.dropout, "dropout")
