"""The model as the exporters want it: a fixed batch if asked, and one column for each class."""

from __future__ import annotations

from typing import Any

from cxr.local_baseline.tensorflow_setup import load


def serving_model(model: Any, batch_size: int | None) -> Any:
    """A Keras model that shares `model`'s layers: input `image` [batch_size, H, W, C], output [batch_size, classes].

    A sigmoid model [N, 1] gets two columns, 1 - p and p, so that every exported file has a score for each label.
    """
    keras = load().keras
    image = keras.Input(batch_shape=(batch_size, *model.input_shape[1:]), name="image")
    return keras.Model(image, two_columns(model(image)), name=model.name)


def two_columns(scores: Any) -> Any:
    """Scores [N, classes] as they are; one sigmoid p [N, 1] as 1 - p and p."""
    if scores.shape[-1] != 1:
        return scores
    return load().keras.layers.Concatenate(axis=1)([1.0 - scores, scores])
