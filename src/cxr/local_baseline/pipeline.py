"""Training input: batches gathered from the memory-mapped cache, shuffled and augmented as a function of (seed,
epoch, step) only."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from cxr.local_baseline.preprocess import Pixels
from cxr.local_baseline.recipes import Augmentation
from cxr.local_baseline.sampling import Sampling, batch_drawer
from cxr.local_baseline.tensorflow_setup import load

Labels = npt.NDArray[np.int64]
Values = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Images (uint8 [N, H, W, C], usually memory-mapped, or float32 features [N, F]), their class numbers [N], and
    the rows of the two splits.

    `groups` says which machine has each row of `train` decoded, when each has a part of them only (None: all have all);
    this one is `here`."""

    images: Pixels | Values
    labels: Labels
    train: Labels
    validation: Labels
    classes: int
    groups: Labels | None = None
    here: int = 0

    def train_groups(self) -> list[Labels]:
        """The rows of the training split as the machines have them."""
        if self.groups is None:
            return [self.train]
        return [self.train[self.groups == number] for number in range(int(self.groups.max()) + 1)]

    def train_here(self) -> Labels:
        """The rows of the training split that are decoded on this machine."""
        return self.train if self.groups is None else self.train[self.groups == self.here]

    def class_weights(self) -> Values:
        """Weight of each class, float32 [classes]: inverse to its share of the training split, 1 on average."""
        counts = np.bincount(self.labels[self.train], minlength=self.classes)
        return (len(self.train) / (self.classes * np.maximum(counts, 1))).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Shares:
    """The parts of every batch that a process reads: `local` of `of` equal parts, from number `first` on."""

    first: int = 0
    local: int = 1
    of: int = 1


WHOLE = Shares()


def training_batches(
    data: TrainingData,
    augmentation: Augmentation,
    *,
    batch_size: int,
    epochs: int | None,
    seed: int,
    weighted: bool,
    sampling: Sampling = Sampling.SHUFFLED,
    shares: Shares = WHOLE,
    start: tuple[int, int] = (0, 0),
) -> Any:
    """A tf.data.Dataset of (float32 pixels or features [B, ...], labels [B], weights [B], place): `epochs` passes
    (None: without end), each in an order of its own, from the step `start` (epochs done, steps into the next) on.
    With balanced `sampling` all weights are 1: the batches are balanced already.

    Every batch comes as its parts in `shares`, one after the other; `place`, int64 [2], is the number of a part's first
    image in the batch, and of the batch's images.
    """
    tf = load().tf
    weighted = weighted and sampling is not Sampling.BALANCED
    class_weights = data.class_weights() if weighted else np.ones(data.classes, np.float32)
    steps = steps_per_epoch(data, batch_size)
    draw = batch_drawer(
        data.train_groups(), data.labels, data.classes, batch_size=batch_size, seed=seed, sampling=sampling
    )

    def batches() -> Iterator[tuple[Any, ...]]:
        for epoch in count(start[0]) if epochs is None else range(start[0], epochs):
            for step in range(start[1] if epoch == start[0] else 0, steps):
                batch = draw(epoch, step)
                key = np.array([seed, epoch * steps + step])
                for share in range(shares.first, shares.first + shares.local):
                    first, end = batch.share(share, shares.of)
                    mine = batch.rows[first:end]
                    labels = data.labels[mine]
                    yield data.images[mine], labels, class_weights[labels], np.array([first, len(batch.rows)]), key

    def finish(images: Any, labels: Any, weights: Any, place: Any, key: Any) -> Any:
        return augment(tf.cast(images, tf.float32), augmentation, key, place), labels, weights, place

    dataset = tf.data.Dataset.from_generator(batches, output_signature=_signature(tf, data))
    return dataset.map(finish, num_parallel_calls=2, deterministic=True).prefetch(4)


def _signature(tf: Any, data: TrainingData) -> Any:
    spec = tf.TensorSpec
    return (
        spec((None, *data.images.shape[1:]), tf.as_dtype(data.images.dtype)),
        spec((None,), tf.int64),
        spec((None,), tf.float32),
        spec((2,), tf.int64),
        spec((2,), tf.int64),
    )


def steps_per_epoch(data: TrainingData, batch_size: int) -> int:
    """Batches in one pass over the training split."""
    return math.ceil(len(data.train) / batch_size)


def smallest_batch(images: int, batch_size: int) -> int:
    """Images in the smallest batch of a training split of `images`."""
    return images // math.ceil(images / batch_size)


def augment(images: Any, augmentation: Augmentation, key: Any, place: Any = None) -> Any:
    """Randomly zoom, shift and flip a batch, float32 [N, H, W, C]; the edge pixels are repeated where the image ends.

    `key` is an int64 tensor [2]: the same key gives the same changes. `place` (first, of) says which part of a batch
    the images are: its changes are drawn for the whole batch, however many parts it comes in.
    """
    if augmentation == Augmentation():
        return images
    tf = load().tf
    images_here = tf.shape(images, out_type=tf.int64)[0]
    first, total = (0, images_here) if place is None else (place[0], place[1])
    height, width = float(images.shape[1]), float(images.shape[2])
    draw = tf.random.stateless_uniform((total, 5), key, -1.0, 1.0)[first : first + images_here]
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
