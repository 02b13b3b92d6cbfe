"""A net of keras.applications below a head of the recipe's own: weights from a file, from Keras's download, or none."""

from __future__ import annotations

import warnings
from http.client import HTTPException
from typing import Any

from cxr.errors import Fault, InputError
from cxr.local_baseline.models.backbone_facts import FACTS, BackboneFacts, Channels, efficientnet_file_affine
from cxr.local_baseline.models.layers import dropout
from cxr.local_baseline.models.weights_file import net_of_weights
from cxr.local_baseline.recipes import IMAGENET, NO_WEIGHTS, BackboneKind, Pooling, Recipe
from cxr.local_baseline.tensorflow_setup import load

#: Name of the backbone's layer in the whole model.
BACKBONE_LAYER = "backbone"
#: Sizes for which Keras has MobileNet weights; it takes 224 for any other.
MOBILENET_SIZES = (128, 160, 192, 224)


def backbone_features(scaled: Any, recipe: Recipe, weights: str) -> Any:
    """Features [N, F] of an image [N, H, W, 1 or 3] of 0..255 after the contract's scale and offset; one channel is
    shown three times.

    Raises InputError when the weights file is of another net or of none, Fault when the download fails.
    """
    assert recipe.backbone is not None  # the architecture has one
    layers = load().keras.layers
    facts = FACTS[recipe.backbone]
    x = scaled
    if x.shape[-1] == 1:
        x = layers.Concatenate(name="three_channels")([x, x, x])
    affine = _channel_affine(recipe.backbone, weights)
    if affine is not None:
        x = layers.Rescaling(list(affine[0]), list(affine[1]), name="channel_scaling")(x)
    net = _backbone(facts, tuple(x.shape[1:]), weights)
    if weights == NO_WEIGHTS:
        _prepare_for_scratch(net, facts, recipe)
    elif facts.bgr:
        _turn_to_rgb(net)
    x = net(x)
    pool = layers.GlobalAveragePooling2D if recipe.pooling is Pooling.AVERAGE else layers.Flatten
    return pool(name=recipe.pooling.value)(x)


def backbone_head(features: Any, recipe: Recipe) -> Any:
    """What stands between a backbone's features and the scores: the hidden layer, if any, and dropout."""
    x = features
    if recipe.head_units:
        x = load().keras.layers.Dense(recipe.head_units, activation=recipe.activation, name="head_dense")(x)
    return dropout(x, recipe.dropout, "dropout")


def _channel_affine(kind: BackboneKind, weights: str) -> tuple[Channels, Channels] | None:
    facts = FACTS[kind]
    if kind is BackboneKind.EFFICIENTNET_B0 and weights not in {NO_WEIGHTS, IMAGENET}:
        return efficientnet_file_affine()
    return None if facts.channel_scale is None else (facts.channel_scale, facts.channel_offset)


def _turn_to_rgb(net: Any) -> None:
    """Exchange red and blue in the first convolution's kernel: weights for BGR then take RGB, and no exported model
    needs an operation that turns channels round."""
    first = next(layer for layer in net.layers if isinstance(layer, load().keras.layers.Conv2D))
    first.kernel.assign(first.kernel.numpy()[:, :, ::-1, :])


def _prepare_for_scratch(net: Any, facts: BackboneFacts, recipe: Recipe) -> None:
    """The recipe's momentum everywhere, and every residual branch silent at first (its last gamma zero; Goyal et al.
    2017, section 5.1): without that a MobileNetV2 learns nothing from a few hundred images."""
    keras = load().keras
    names = {layer.name for layer in net.layers}
    for layer in net.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = recipe.batch_norm_momentum
            last, total = facts.residual or ("", "")
            if last and layer.name.endswith(last) and layer.name.removesuffix(last) + total in names:
                layer.gamma.assign(keras.ops.zeros_like(layer.gamma))


def _backbone(facts: BackboneFacts, shape: tuple[int, ...], weights: str) -> Any:
    def build(values: str | None) -> Any:
        function = getattr(load().keras.applications, facts.function)
        with warnings.catch_warnings():
            # Keras warns of sizes other than ImageNet's, which any net without its top takes, and once for every layer
            # that a file does not fit, before it raises.
            warnings.simplefilter("ignore", UserWarning)
            return function(
                weights=values, input_shape=shape, include_top=False, name=BACKBONE_LAYER, **dict(facts.arguments)
            )

    if weights == NO_WEIGHTS:
        return build(None)
    if weights == IMAGENET:
        try:
            return build(IMAGENET)
        except Exception as error:
            if not _is_download_failure(error):
                raise
            size = shape[0] if shape[0] in MOBILENET_SIZES else MOBILENET_SIZES[-1]
            raise Fault(
                f"Keras could not download the ImageNet weights of {facts.name}: {error}",
                hint=f"fetch {facts.keras_file.format(size=size)} elsewhere and give it as --weights FILE, or train "
                f"from scratch: --weights {NO_WEIGHTS}",
            ) from error
    try:
        return build(weights)
    except (ValueError, KeyError, OSError) as error:
        held = net_of_weights(weights)
        holds = f"; it holds those of {held}" if held and held != facts.name else f": {error}"
        raise InputError(
            f"{weights} does not hold weights of {facts.name}{holds}",
            hint="--set backbone=… names the net that stands below the head; cxr baseline recipes NAME shows it",
        ) from error


def _is_download_failure(error: Exception) -> bool:
    """Keras raises a bare Exception where a server cannot be reached or refuses, and ValueError for a file that is not
    the one it knows; the connection's own errors, and the disk's, pass through."""
    is_bare = type(error) is Exception
    return is_bare or isinstance(error, OSError | HTTPException) or "corrupted file" in str(error)
