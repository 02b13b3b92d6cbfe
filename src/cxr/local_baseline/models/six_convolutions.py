"""The six-convolution net of the ancestors: three pairs of convolutions, each pair with a pool; then two hidden dense
layers."""

from __future__ import annotations

from typing import Any

from cxr.local_baseline.models.layers import dropout
from cxr.local_baseline.recipes import Recipe
from cxr.local_baseline.tensorflow_setup import load

#: Filters of the two convolutions of each pair.
PAIRS = ((32, 64), (128, 128), (256, 256))
DENSE_UNITS = (1024, 512)


def six_convolution_features(scaled: Any, recipe: Recipe, weights: str) -> Any:
    """Features [N, 512] of a scaled image [N, H, W, C]. It has no pretrained weights."""
    del weights
    layers = load().keras.layers
    x = scaled
    for number, pair in enumerate(PAIRS, start=1):
        for place, filters in zip("ab", pair, strict=True):
            name = f"pair{number}{place}_conv"
            x = layers.Conv2D(filters, 3, padding="same", activation=recipe.activation, name=name)(x)
        x = layers.MaxPooling2D(2, name=f"pair{number}_pool")(x)
    x = layers.Flatten(name="flatten")(x)
    for number, units in enumerate(DENSE_UNITS, start=1):
        x = layers.Dense(units, activation=recipe.activation, name=f"dense{number}")(x)
    return dropout(x, recipe.dropout, "dropout")
