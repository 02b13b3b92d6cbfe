"""Training batches: every image once an epoch, all randomness from the seed, augmentation within its bounds."""

from __future__ import annotations

import numpy as np
import pytest

from cxr.local_baseline.recipes import Augmentation, Sampling
from cxr.local_baseline.training.pipeline import Shares, TrainingData, training_batches


@pytest.fixture
def data() -> TrainingData:
    """Ten images whose every pixel is their row number; the last three are for validation."""
    images = np.repeat(np.arange(10, dtype=np.uint8), 16).reshape(10, 4, 4, 1)
    labels = np.array([0, 1, 1, 1, 1, 1, 0, 0, 1, 1])
    return TrainingData(images, labels, np.arange(7), np.arange(7, 10), 2)


def batches(data: TrainingData, *, seed: int = 1, augmentation: Augmentation | None = None) -> list[tuple]:
    dataset = training_batches(data, augmentation or Augmentation(), batch_size=3, epochs=2, seed=seed, weighted=True)
    return [tuple(part.numpy() for part in batch) for batch in dataset]


def test_every_training_image_comes_once_an_epoch_with_its_label(data: TrainingData) -> None:
    seen = batches(data)
    assert [len(images) for images, *_ in seen] == [2, 2, 3, 2, 2, 3]
    for epoch in (seen[:3], seen[3:]):
        rows = np.concatenate([images[:, 0, 0, 0] for images, *_ in epoch]).astype(int)
        assert sorted(rows) == list(range(7))
        assert (np.concatenate([labels for _, labels, *_ in epoch]) == data.labels[rows]).all()


def test_batches_depend_on_the_seed_alone(data: TrainingData) -> None:
    zoom = Augmentation(zoom=0.3, shift=0.2)
    data.images[:, 0, 0] = 200
    first, again, other = (batches(data, seed=seed, augmentation=zoom) for seed in (1, 1, 2))
    assert all((one[0] == two[0]).all() for one, two in zip(first, again, strict=True))
    assert not all((one[0] == two[0]).all() for one, two in zip(first, other, strict=True))


def numpy_batches(data: TrainingData, **options: object) -> list[list[np.ndarray]]:
    dataset = training_batches(data, Augmentation(zoom=0.3, shift=0.2), batch_size=3, epochs=2, seed=1, **options)
    return [[part.numpy() for part in batch] for batch in dataset]


def test_shares_of_a_batch_are_the_batch_augmentation_included(data: TrainingData) -> None:
    data.images[:] = np.random.default_rng(0).integers(0, 255, data.images.shape)
    whole = numpy_batches(data, weighted=True)
    shared = [numpy_batches(data, weighted=True, shares=Shares(number, 1, 2)) for number in (0, 1)]
    for batch, *parts in zip(whole, *shared, strict=True):
        for number in range(3):
            assert np.array_equal(np.concatenate([part[number] for part in parts]), batch[number])
        rows = len(batch[1])
        assert [part[3].tolist() for part in parts] == [[0, rows], [rows // 2, rows]]


def test_balanced_batches_are_not_weighted_as_well(data: TrainingData) -> None:
    for _, labels, weights, _ in numpy_batches(data, weighted=True, sampling=Sampling.BALANCED):
        assert abs(int((labels == 0).sum()) - int((labels == 1).sum())) <= 1
        assert (weights == 1).all()


def test_batches_go_on_in_the_middle_of_an_epoch(data: TrainingData) -> None:
    whole = numpy_batches(data, weighted=False)
    rest = numpy_batches(data, weighted=False, start=(1, 1))
    assert len(rest) == 2
    for ours, theirs in zip(rest, whole[4:], strict=True):
        assert all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_class_weights_balance_the_loss(data: TrainingData) -> None:
    weights = data.class_weights()
    counts = np.bincount(data.labels[data.train])
    assert weights[0] * counts[0] == pytest.approx(weights[1] * counts[1])
    assert (weights * counts).sum() == pytest.approx(len(data.train))
