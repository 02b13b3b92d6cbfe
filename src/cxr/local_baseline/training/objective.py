"""What a net is trained to make small, image by image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cxr.local_baseline.recipes import Recipe
from cxr.local_baseline.tensorflow_setup import load

#: Probabilities are kept this far from 0 in the logarithm.
SMALLEST = 1e-7
#: (the teachers' probabilities [B, outputs] or None, targets int64 [B], weights [B], the net's scores [B, 1] or [B,
#: outputs]) -> losses [B], in nats.
Objective = Callable[[Any, Any, Any, Any], Any]


def objective(recipe: Recipe) -> Objective:
    """The weighted cross-entropy of each image against its target, smoothed as the recipe says, and, with teachers, the
    cross-entropy against their probabilities, mixed by the recipe's `teacher_share`.

    The teachers' part is not weighted by class (they know how sure they are) and multiplied by the square of the
    temperature, so that its gradients keep their size (Hinton et al. 2015).
    """
    share, temperature = recipe.teacher_share, recipe.teacher_temperature

    def each(lesson: Any, targets: Any, weights: Any, scores: Any) -> Any:
        of_labels = weights * cross_entropy(targets, scores, recipe.label_smoothing)
        if lesson is None:
            return of_labels
        of_teachers = -load().tf.reduce_sum(lesson * log_softened(scores, temperature), axis=1)
        return share * temperature**2 * of_teachers + (1.0 - share) * of_labels

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


def softened(scores: Any, temperature: float) -> Any:
    """Probabilities (one sigmoid [B, 1], or a softmax [B, K]) as a distribution [B, K] at `temperature`: the softmax of
    their logits divided by it."""
    return load().tf.exp(log_softened(scores, temperature))


def log_softened(scores: Any, temperature: float) -> Any:
    """The logarithm of `softened`."""
    tf = load().tf
    if scores.shape[-1] == 1:
        scores = tf.concat([1.0 - scores, scores], axis=1)
    return tf.nn.log_softmax(tf.math.log(tf.clip_by_value(scores, SMALLEST, 1.0)) / temperature)
