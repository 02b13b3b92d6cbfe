"""Which training images make up which batch: a function of (seed, epoch, step) only, so that a training can be left and
taken up again anywhere.

When several machines decode a part of the training split each, its rows are in as many groups: every batch takes its
share of each group, so that no machine needs what another one has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from cxr.errors import UsageError
from cxr.local_baseline.recipes.nouns import Sampling

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batch:
    """The rows of a batch, in the order of the file within each group, and how many are of each group."""

    rows: Rows
    sizes: tuple[int, ...]

    def share(self, number: int, of: int) -> tuple[int, int]:
        """Where the part of replica `number` of `of` begins and ends: of its machine's group, where there are
        several."""
        if len(self.sizes) == 1 or of == 1:
            return len(self.rows) * number // of, len(self.rows) * (number + 1) // of
        replicas = of // len(self.sizes)
        group, part = divmod(number, replicas)
        first, size = sum(self.sizes[:group]), self.sizes[group]
        return first + size * part // replicas, first + size * (part + 1) // replicas


#: Batch number `step` of epoch `epoch`.
Draw = Callable[[int, int], Batch]


def batch_bounds(images: int, steps: int, step: int) -> tuple[int, int]:
    """Where a batch begins and ends in an epoch's order. The batches of an epoch are of equal size, give or take one
    image: a last batch of a few left-overs would count as much as a full one, and be too small to share."""
    return images * step // steps, images * (step + 1) // steps


def batch_drawer(
    groups: Sequence[Rows], labels: Rows, classes: int, *, batch_size: int, seed: int, sampling: Sampling
) -> Draw:
    """Draws the batches of the training split, whose rows are in `groups` (most often one); `labels` are the class
    numbers of all rows. An epoch has as many images as the split.

    Raises UsageError when `sampling` is balanced and a group lacks a class, or is too small for every batch to have
    some of it.
    """
    steps = math.ceil(sum(map(len, groups)) / batch_size)
    if min(map(len, groups)) < steps:
        raise UsageError(
            f"a machine has {min(map(len, groups))} training images for {steps} batches",
            hint="write smaller shards (cxr data shard --shard-mb N), or use fewer machines",
        )
    draw = _balanced if sampling is Sampling.BALANCED else _shuffled
    # The seed of a single group is what it is without groups.
    drawers = [
        draw(rows, labels, classes, steps, (seed,) if len(groups) == 1 else (seed, number + 1))
        for number, rows in enumerate(groups)
    ]

    def batch(epoch: int, step: int) -> Batch:
        parts = [np.sort(drawn(epoch, step)) for drawn in drawers]  # in the order of the file
        return Batch(np.concatenate(parts), tuple(map(len, parts)))

    return batch


def _shuffled(rows: Rows, labels: Rows, classes: int, steps: int, seed: tuple[int, ...]) -> Callable[[int, int], Rows]:
    del labels, classes

    @lru_cache(maxsize=2)
    def order(epoch: int) -> Rows:
        return np.random.default_rng((*seed[:1], epoch, *seed[1:])).permutation(rows)

    return lambda epoch, step: order(epoch)[slice(*batch_bounds(len(rows), steps, step))]


def _balanced(rows: Rows, labels: Rows, classes: int, steps: int, seed: tuple[int, ...]) -> Callable[[int, int], Rows]:
    """The images are dealt out to the classes in turn without end, and each class is an endless row of its images in
    orders of their own: the class and the place of image g need no memory of those before it."""
    of_class = [rows[labels[rows] == number] for number in range(classes)]
    if min(map(len, of_class)) == 0:
        raise UsageError(
            "balanced sampling needs images of every class on every machine",
            hint="--set sampling=shuffled, or write larger shards: cxr data shard --shard-mb N",
        )

    @lru_cache(maxsize=4 * classes)
    def order(number: int, turn: int) -> Rows:
        return np.random.default_rng((*seed, number, turn)).permutation(of_class[number])

    def drawn(epoch: int, step: int) -> Rows:
        first, end = (epoch * len(rows) + edge for edge in batch_bounds(len(rows), steps, step))
        places = ((image % classes, image // classes) for image in range(first, end))
        turns = ((number, *divmod(place, len(of_class[number]))) for number, place in places)
        return np.array([order(number, turn)[place] for number, turn, place in turns], np.int64)

    return drawn
