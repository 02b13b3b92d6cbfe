"""The five-block CNN of the ancestors: in each block convolution with relu, dropout (in some), batch norm, pool, in
that order."""

from __future__ import annotations

from typing import Any

from cxr.local_baseline.recipes import Recipe
from cxr.local_baseline.tensorflow_setup import load

#: (filters, dropout) of each block.
BLOCKS = ((32, 0.0), (64, 0.1), (64, 0.0), (128, 0.2), (256, 0.2))
DENSE_UNITS = 128


def five_block_features(scaled: Any, recipe: Recipe, weights: str) -> Any:
    """Features [N, 128] of a scaled image [N, H, W, C]. It has no pretrained weights."""
    del weights
    layers = load().keras.layers
    x = scaled
    for number, (filters, dropout) in enumerate(BLOCKS, start=1):
        x = layers.Conv2D(filters, 3, padding="same", activation=recipe.activation, name=f"block{number}_conv")(x)
        if dropout:
            x = layers.Dropout(dropout, name=f"block{number}_dropout")(x)
        x = layers.BatchNormalization(momentum=recipe.batch_norm_momentum, name=f"block{number}_norm")(x)
        x = layers.MaxPooling2D(2, padding="same", name=f"block{number}_pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(DENSE_UNITS, activation=recipe.activation, name="dense")(x)
    return layers.Dropout(recipe.dropout, name="dense_dropout")(x)
