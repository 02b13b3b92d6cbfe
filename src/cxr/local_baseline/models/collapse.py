"""From a net that tells finer classes apart to the model that is shipped, which gives the manifest's classes."""

from __future__ import annotations

from typing import Any

from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.training.supervision import FinerClasses

#: Name of the layer that adds up the finer classes. It follows SCORES, which stays the layer of the finer classes.
CLASSES = "classes"


def finished(model: Any, finer: FinerClasses | None) -> Any:
    """The model without what only training needs. With `finer` classes its output is float32 [N, classes]: each the sum
    of its parts, by a dense layer without bias whose weights are zeros and ones and cannot be trained, so that every
    format can hold it."""
    keras = load().keras
    if finer is None:
        return keras.Model(model.input, model.output, name=model.name)
    membership = finer.membership
    layer = keras.layers.Dense(membership.shape[1], use_bias=False, trainable=False, dtype="float32", name=CLASSES)
    output = layer(model.output)
    layer.kernel.assign(membership)
    return keras.Model(model.input, output, name=model.name)
