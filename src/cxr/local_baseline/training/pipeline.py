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

from cxr.local_baseline.images.preprocess import Pixels
from cxr.local_baseline.recipes import Augmentation, Sampling
from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.training.augmenting import augment
from cxr.local_baseline.training.sampling import batch_drawer
from cxr.local_baseline.training.supervision import FinerClasses

Labels = npt.NDArray[np.int64]
Values = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Images (uint8 [N, H, W, C], usually memory-mapped, or float32 features [N, F]), their class numbers [N], and
    the rows of the two splits. With `finer` classes a net is trained on those; it is judged on `labels` either way.

    `groups` says which machine has each row of `train` decoded, when each has a part of them only (None: all have all);
    this one is `here`."""

    images: Pixels | Values
    labels: Labels
    train: Labels
    validation: Labels
    classes: int
    finer: FinerClasses | None = None
    groups: Labels | None = None
    here: int = 0

    @property
    def targets(self) -> Labels:
        """What a net is trained on: the number of each image's class, or of its finer class, [N]."""
        return self.labels if self.finer is None else self.finer.labels

    @property
    def outputs(self) -> int:
        """How many different targets there are."""
        return self.classes if self.finer is None else len(self.finer.names)

    def train_groups(self) -> list[Labels]:
        """The rows of the training split as the machines have them."""
        if self.groups is None:
            return [self.train]
        return [self.train[self.groups == number] for number in range(int(self.groups.max()) + 1)]

    def train_here(self) -> Labels:
        """The rows of the training split that are decoded on this machine."""
        return self.train if self.groups is None else self.train[self.groups == self.here]

    def class_weights(self) -> Values:
        """Weight of each target, float32 [outputs]: inverse to its share of the training split, 1 on average."""
        counts = np.bincount(self.targets[self.train], minlength=self.outputs)
        return (len(self.train) / (self.outputs * np.maximum(counts, 1))).astype(np.float32)

    def judged(self, probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """A net's probabilities of its targets [N, outputs] as those of the classes [N, classes]."""
        return probabilities if self.finer is None else self.finer.collapsed(probabilities)


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
    """A tf.data.Dataset of (float32 pixels or features [B, ...], targets [B], weights [B], place): `epochs` passes
    (None: without end), each in an order of its own, from the step `start` (epochs done, steps into the next) on.
    With balanced `sampling` all weights are 1: the batches are balanced already.

    Every batch comes as its parts in `shares`, one after the other; `place`, int64 [2], is the number of a part's first
    image in the batch, and of the batch's images.
    """
    tf = load().tf
    weighted = weighted and sampling is not Sampling.BALANCED
    class_weights = data.class_weights() if weighted else np.ones(data.outputs, np.float32)
    steps = steps_per_epoch(data, batch_size)
    draw = batch_drawer(
        data.train_groups(), data.targets, data.outputs, batch_size=batch_size, seed=seed, sampling=sampling
    )

    def batches() -> Iterator[tuple[Any, ...]]:
        for epoch in count(start[0]) if epochs is None else range(start[0], epochs):
            for step in range(start[1] if epoch == start[0] else 0, steps):
                batch = draw(epoch, step)
                key = np.array([seed, epoch * steps + step])
                for share in range(shares.first, shares.first + shares.local):
                    first, end = batch.share(share, shares.of)
                    mine = batch.rows[first:end]
                    targets = data.targets[mine]
                    yield data.images[mine], targets, class_weights[targets], np.array([first, len(batch.rows)]), key

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
