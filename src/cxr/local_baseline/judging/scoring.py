"""Probabilities of many cached images from a model in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from cxr.local_baseline.tensorflow_setup import load

BATCH_IMAGES = 64

Probabilities = npt.NDArray[np.float64]
#: (images: uint8 [N, H, W, C] or float32 [N, F], rows [R]) -> float64 [R, classes].
Score = Callable[[npt.NDArray[Any], npt.NDArray[np.int64]], Probabilities]


def scorer(model: Any) -> Score:
    """A function that gives the class probabilities of chosen rows of an array; traced once, however often it is
    called.

    A model with one sigmoid output gives two columns, 1 - p and p.
    """
    run = batch_runner(model)

    def score(images: npt.NDArray[Any], rows: npt.NDArray[np.int64]) -> Probabilities:
        outputs = run(images, rows).astype(np.float64)
        return np.concatenate([1.0 - outputs, outputs], axis=1) if outputs.shape[1] == 1 else outputs

    return score


def batch_runner(model: Any) -> Callable[[npt.NDArray[Any], npt.NDArray[np.int64]], npt.NDArray[np.float32]]:
    """A function that gives the model's raw outputs, float32 [rows, F]; batches are gathered one at a time, so
    memory stays flat."""
    tf = load().tf
    call = tf.function(
        lambda batch: tf.cast(model(batch, training=False), tf.float32),
        input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)],
    )

    def run(images: npt.NDArray[Any], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        parts = [
            call(tf.constant(images[rows[start : start + BATCH_IMAGES]].astype(np.float32))).numpy()
            for start in range(0, len(rows), BATCH_IMAGES)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, int(model.output_shape[-1])), np.float32)

    return run
