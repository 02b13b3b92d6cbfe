"""L1 and L2 penalties on kernels, put on a built model."""

from __future__ import annotations

from typing import Any

from cxr.errors import UsageError
from cxr.local_baseline.recipes import Recipe
from cxr.local_baseline.tensorflow_setup import load


def penalise(model: Any, recipe: Recipe) -> None:
    """Give the recipe's penalties to the kernels of its `penalised_layers`, or of all convolutions and dense layers.

    Depthwise kernels have so few values that a penalty only harms (Howard et al. 2017, section 3.1), and biases and
    batch norm are left alone, as usual. `model.losses` then has the penalties of what is being trained. Raises
    UsageError for a layer that the model does not have.
    """
    if not recipe.l1 and not recipe.l2:
        return
    keras = load().keras
    kinds = (keras.layers.Dense, keras.layers.Conv2D)
    layers = [
        layer
        for layer in model._flatten_layers(include_self=False, recursive=True)
        if isinstance(layer, kinds) and not isinstance(layer, keras.layers.DepthwiseConv2D)
    ]
    absent = set(recipe.penalised_layers) - {layer.name for layer in layers}
    if absent:
        raise UsageError(f"{recipe.name} has no layer {sorted(absent)[0]!r} with a kernel to penalise")
    for layer in layers:
        if not recipe.penalised_layers or layer.name in recipe.penalised_layers:
            # Twice: a built kernel knows its own penalty, a copy of the layer is made from its configuration.
            layer.kernel_regularizer = layer.kernel.regularizer = keras.regularizers.L1L2(recipe.l1, recipe.l2)
