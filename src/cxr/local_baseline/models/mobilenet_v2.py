"""MobileNetV2 at alpha 0.35: weights from a file, from Keras's download, or none."""

from __future__ import annotations

from typing import Any

from cxr.errors import Fault, InputError
from cxr.local_baseline.recipes import IMAGENET, NO_WEIGHTS, Recipe
from cxr.local_baseline.tensorflow_setup import load

ALPHA = 0.35


def mobilenet_v2_features(scaled: Any, recipe: Recipe, weights: str) -> Any:
    """Features [N, 1280] of an image [N, H, W, 1 or 3] scaled to -1..1; one channel is shown three times.

    Raises InputError when the weights file is absent or of another net, Fault when the download fails.
    """
    keras = load().keras
    if scaled.shape[-1] == 1:
        scaled = keras.layers.Concatenate(name="three_channels")([scaled, scaled, scaled])
    backbone = _backbone(keras, tuple(scaled.shape[1:]), weights)
    if weights == NO_WEIGHTS:
        _prepare_for_scratch(keras, backbone, recipe)
    x = keras.layers.GlobalAveragePooling2D(name="average")(backbone(scaled))
    return keras.layers.Dropout(recipe.dropout, name="dropout")(x)


def _prepare_for_scratch(keras: Any, backbone: Any, recipe: Recipe) -> None:
    """The recipe's momentum everywhere, and every residual branch silent at first (its last gamma zero; Goyal et al.
    2017, section 5.1): without that the net learns nothing from a few hundred images."""
    names = {layer.name for layer in backbone.layers}
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = recipe.batch_norm_momentum
            if layer.name.endswith("_project_BN") and layer.name.replace("project_BN", "add") in names:
                layer.gamma.assign(keras.ops.zeros_like(layer.gamma))


def _backbone(keras: Any, shape: tuple[int, ...], weights: str) -> Any:
    def build(values: str | None) -> Any:
        return keras.applications.MobileNetV2(
            input_shape=shape, alpha=ALPHA, include_top=False, weights=values, name="backbone"
        )

    if weights == NO_WEIGHTS:
        return build(None)
    if weights == IMAGENET:
        try:
            return build(IMAGENET)
        except Exception as error:
            raise Fault(
                f"Keras could not download the ImageNet weights: {error}",
                hint="use --weights FILE, or --weights none to train from scratch",
            ) from error
    try:
        return build(weights)
    except (ValueError, KeyError, OSError) as error:
        raise InputError(f"{weights} does not hold weights of MobileNetV2 (alpha {ALPHA}, no top): {error}") from error
