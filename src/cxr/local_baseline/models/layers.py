"""Layers that several nets share."""

from __future__ import annotations

from typing import Any

from cxr.local_baseline.recipes import Activation, Recipe
from cxr.local_baseline.tensorflow_setup import load


def activation_layer(recipe: Recipe, name: str) -> Any:
    """The recipe's activation as a layer of its own, for nets that normalise before it."""
    layers = load().keras.layers
    return (
        layers.ReLU(name=name)
        if recipe.activation is Activation.RELU
        else layers.Activation(recipe.activation, name=name)
    )


def dropout(x: Any, rate: float, name: str) -> Any:
    """Dropout, or nothing when the rate is 0."""
    return load().keras.layers.Dropout(rate, name=name)(x) if rate else x
