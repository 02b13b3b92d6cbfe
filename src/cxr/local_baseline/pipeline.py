"""Training input: batches gathered from the memory-mapped cache, shuffled and augmented as a function of (seed,
epoch, step) only."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cxr.local_baseline.preprocess import Pixels
from cxr.local_baseline.recipes import Augmentation
from cxr.local_baseline.tensorflow_setup import load

Labels = npt.NDArray[np.int64]
Values = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Images (uint8 [N, H, W, C], usually memory-mapped, or float32 features [N, F]), their class numbers [N], and
    the rows of the two splits."""

    images: Pixels | Values
    labels: Labels
    train: Labels
    validation: Labels
    classes: int

    def class_weights(self) -> Values:
        """Weight of each class, float32 [classes]: inverse to its share of the training split, 1 on average."""
        counts = np.bincount(self.labels[self.train], minlength=self.classes)
        return (len(self.train) / (self.classes * np.maximum(counts, 1))).astype(np.float32)


def training_batches(
    data: TrainingData, augmentation: Augmentation, *, batch_size: int, epochs: int, seed: int, weighted: bool
) -> Any:
    """A tf.data.Dataset of (float32 pixels or features, labels, weights): `epochs` passes, each in an order of its
    own."""
    tf = load().tf
    class_weights = data.class_weights() if weighted else np.ones(data.classes, np.float32)
    spec = tf.TensorSpec
    signature = (
        spec((None, *data.images.shape[1:]), tf.as_dtype(data.images.dtype)),
        spec((None,), tf.int64),
        spec((None,), tf.float32),
        spec((2,), tf.int64),
    )

    def batches() -> Iterator[tuple[Any, ...]]:
        step = 0
        for epoch in range(epochs):
            order = np.random.default_rng((seed, epoch)).permutation(data.train)
            for start in range(0, len(order), batch_size):
                rows = np.sort(order[start : start + batch_size])  # in the order of the file
                labels = data.labels[rows]
                yield data.images[rows], labels, class_weights[labels], np.array([seed, step])
                step += 1

    def finish(images: Any, labels: Any, weights: Any, key: Any) -> Any:
        return augment(tf.cast(images, tf.float32), augmentation, key), labels, weights

    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    return dataset.map(finish, num_parallel_calls=2, deterministic=True).prefetch(4)


def steps_per_epoch(data: TrainingData, batch_size: int) -> int:
    """Batches in one pass over the training split."""
    return math.ceil(len(data.train) / batch_size)


def augment(images: Any, augmentation: Augmentation, key: Any) -> Any:
    """Randomly zoom, shift and flip a batch, float32 [N, H, W, C]; the edge pixels are repeated where the image ends.

    `key` is an int64 tensor [2]: the same key gives the same changes.
    """
    if augmentation == Augmentation():
        return images
    tf = load().tf
    count = tf.shape(images)[0]
    height, width = float(images.shape[1]), float(images.shape[2])
    draw = tf.random.stateless_uniform((count, 5), key, -1.0, 1.0)
    scale_y = 1.0 + augmentation.zoom * draw[:, 0]
    scale_x = 1.0 + augmentation.zoom * draw[:, 1]
    if augmentation.horizontal_flip:
        scale_x *= tf.sign(draw[:, 4])
    # The transform maps output to input coordinates about the centre: in = scale * (out - centre) + centre + shift.
    offset_y = (height - 1) / 2 * (1 - scale_y) + augmentation.shift * height * draw[:, 2]
    offset_x = (width - 1) / 2 * (1 - scale_x) + augmentation.shift * width * draw[:, 3]
    zero = tf.zeros_like(scale_x)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([scale_x, zero, offset_x, zero, scale_y, offset_y, zero, zero], axis=1),
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
