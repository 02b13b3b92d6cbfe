"""Which images make up a batch: every one once an epoch, or each class equally often; always the same for the same
place in the training."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr.errors import UsageError
from cxr.local_baseline.recipes import Sampling
from cxr.local_baseline.training.sampling import Batch, Draw, batch_drawer


def drawer(labels: list[int], groups: list[np.ndarray], *, batch_size: int, seed: int, sampling: Sampling) -> Draw:
    return batch_drawer(groups, np.array(labels), max(labels) + 1, batch_size=batch_size, seed=seed, sampling=sampling)


@st.composite
def splits(draw: st.DrawFn) -> tuple[list[int], int, int]:
    """Labels of two or three classes (each occurs), a batch size, a seed."""
    classes = draw(st.integers(2, 3))
    labels = [*range(classes), *draw(st.lists(st.integers(0, classes - 1), max_size=60))]
    return labels, draw(st.integers(1, 20)), draw(st.integers(0, 2**32 - 1))


def epoch(draw: Draw, images: int, batch_size: int, number: int) -> list[np.ndarray]:
    return [draw(number, step).rows for step in range(math.ceil(images / batch_size))]


@settings(max_examples=60, deadline=None)
@given(splits())
def test_shuffled_takes_every_image_once_an_epoch(split: tuple[list[int], int, int]) -> None:
    labels, batch_size, seed = split
    draw = drawer(labels, [np.arange(len(labels))], batch_size=batch_size, seed=seed, sampling=Sampling.SHUFFLED)
    for number in (0, 3):
        rows = np.concatenate(epoch(draw, len(labels), batch_size, number))
        assert sorted(rows) == list(range(len(labels)))


@settings(max_examples=60, deadline=None)
@given(splits())
def test_balanced_batches_have_each_class_equally_often_and_use_every_image_of_it_alike(
    split: tuple[list[int], int, int],
) -> None:
    labels, batch_size, seed = split
    truth, classes = np.array(labels), max(labels) + 1
    draw = drawer(labels, [np.arange(len(labels))], batch_size=batch_size, seed=seed, sampling=Sampling.BALANCED)
    seen = np.zeros(len(labels), int)
    for number in range(4):
        for rows in epoch(draw, len(labels), batch_size, number):
            counts = np.bincount(truth[rows], minlength=classes)
            assert counts.max() - counts.min() <= 1
            np.add.at(seen, rows, 1)
    for number in range(classes):
        assert np.ptp(seen[truth == number]) <= 1  # none is drawn again before all are
    totals = np.bincount(truth, weights=seen, minlength=classes)
    assert np.ptp(totals) <= 1
    assert totals.sum() == 4 * len(labels)


@pytest.mark.parametrize("sampling", list(Sampling))
def test_a_batch_depends_on_its_place_alone_not_on_those_before_it(sampling: Sampling) -> None:
    labels = [0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1]
    options = {"batch_size": 4, "seed": 5, "sampling": sampling}
    in_order, at_once, other = (
        drawer(labels, [np.arange(11)], **{**options, "seed": seed})  # type: ignore[arg-type]
        for seed in (5, 5, 6)
    )
    batches = [in_order(number, step).rows for number in range(3) for step in range(3)]
    assert np.array_equal(at_once(2, 1).rows, batches[7])
    assert not all(
        np.array_equal(other(number, step).rows, batches[3 * number + step]) for number in range(3) for step in range(3)
    )


@pytest.mark.parametrize("sampling", list(Sampling))
def test_every_batch_takes_its_share_of_each_machines_images(sampling: Sampling) -> None:
    labels = [0, 1] * 20
    groups = [np.arange(0, 22), np.arange(22, 40)]
    draw = drawer(labels, groups, batch_size=8, seed=1, sampling=sampling)
    for step in range(5):
        batch = draw(0, step)
        assert batch.sizes in {(4, 3), (4, 4), (5, 4), (5, 3)}
        for machine in (0, 1):
            mine = [batch.rows[slice(*batch.share(replica, 4))] for replica in (2 * machine, 2 * machine + 1)]
            assert set(np.concatenate(mine)) <= set(groups[machine])
            assert sum(map(len, mine)) == batch.sizes[machine]


def test_the_shares_of_a_single_group_are_equal_give_or_take_one() -> None:
    batch = Batch(np.arange(7), (7,))
    assert [batch.share(number, 3) for number in range(3)] == [(0, 2), (2, 4), (4, 7)]


def test_a_class_that_a_machine_lacks_cannot_be_balanced() -> None:
    with pytest.raises(UsageError, match="images of every class on every machine"):
        drawer([0, 0, 1, 1], [np.array([0, 1]), np.array([2, 3])], batch_size=2, seed=1, sampling=Sampling.BALANCED)


def test_a_machine_with_fewer_images_than_batches_is_refused() -> None:
    with pytest.raises(UsageError, match="a machine has 1 training images for 4 batches"):
        drawer([0, 1, 0, 1], [np.arange(3), np.array([3])], batch_size=1, seed=1, sampling=Sampling.SHUFFLED)
