"""The dense net of the ancestors: all pixels in a row, then 32 and 8 units."""

from __future__ import annotations

from typing import Any

from cxr.local_baseline.models.layers import dropout
from cxr.local_baseline.recipes import Recipe
from cxr.local_baseline.tensorflow_setup import load

UNITS = (32, 8)


def dense_features(scaled: Any, recipe: Recipe, weights: str) -> Any:
    """Features [N, 8] of a scaled image [N, H, W, C]. It has no pretrained weights."""
    del weights
    layers = load().keras.layers
    x = layers.Flatten(name="flatten")(scaled)
    for number, units in enumerate(UNITS, start=1):
        x = layers.Dense(units, activation=recipe.activation, name=f"dense{number}")(x)
    return dropout(x, recipe.dropout, "dropout")
