"""What a net is trained to make small, image by image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cxr.local_baseline.recipes import Recipe
from cxr.local_baseline.tensorflow_setup import load

#: (images [B, ...], targets int64 [B], weights [B], the net's scores [B, 1] or [B, outputs]) -> losses [B], in nats.
Objective = Callable[[Any, Any, Any, Any], Any]


def objective(recipe: Recipe) -> Objective:
    """The weighted cross-entropy of each image against its target, smoothed as the recipe says."""

    def each(images: Any, targets: Any, weights: Any, scores: Any) -> Any:
        del images
        return weights * cross_entropy(targets, scores, recipe.label_smoothing)

    return each


def cross_entropy(targets: Any, scores: Any, smoothing: float) -> Any:
    """Cross-entropy [B] of class numbers [B] and probabilities: one sigmoid [B, 1], or a softmax [B, K]. With
    `smoothing` s the target is 1 - s of the class's own, and s shared equally by all classes."""
    framework = load()
    tf, losses = framework.tf, framework.keras.losses
    if scores.shape[-1] == 1:
        return losses.binary_crossentropy(tf.cast(targets, tf.float32)[:, None], scores, label_smoothing=smoothing)
    if not smoothing:
        return losses.sparse_categorical_crossentropy(targets, scores)
    return losses.categorical_crossentropy(tf.one_hot(targets, scores.shape[-1]), scores, label_smoothing=smoothing)
