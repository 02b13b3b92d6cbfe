"""From a net that tells finer classes apart to the model that is shipped, which gives the manifest's classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.training.supervision import FinerClasses

#: Name of the layer that adds up the finer classes. It follows SCORES, which stays the layer of the finer classes.
CLASSES = "classes"

Floats = npt.NDArray[np.float64]


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


def log_odds_weights(kernel: Floats, finer: Floats, membership: Floats, number: int) -> Floats:
    """How the log-odds of one class change with the features, float64 [N, F]: the weights of its activation map.

    `kernel` [F, parts] are the weights of SCORES, `finer` [N, parts] its probabilities, `membership` [parts, classes]
    the weights of CLASSES. A class activation map (Zhou et al., CVPR 2016) takes a class's column of the kernel. A
    class of several parts has no column, but its log-odds log(P / (1 - P)) have a gradient: the columns of its parts,
    weighted by how much of P each is, less those of the other parts, weighted likewise. With one part against one other
    that is the difference of the two columns.
    """
    inside = membership[:, number] > 0
    probability = np.clip(finer, 1e-12, 1.0)
    of_class = np.where(inside, probability, 0.0)
    of_others = np.where(inside, 0.0, probability)
    share = of_class / of_class.sum(axis=1, keepdims=True) - of_others / of_others.sum(axis=1, keepdims=True)
    return np.asarray(share @ kernel.T, dtype=np.float64)
