"""Corruptions: each a function of the image alone, in uint8, and each doing what its name says."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from cxr.errors import UsageError
from cxr.local_baseline.images.corruptions import CORRUPTIONS, Corruption, corrupted, find_corruptions
from cxr.local_baseline.judging.operating_scores import operating_scores
from cxr.local_baseline.recipes import ChosenOn
from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.training.augmenting import blurred
from cxr.local_baseline.training.pipeline import TrainingData

Pixels = npt.NDArray[np.uint8]
EACH = pytest.mark.parametrize("corruption", CORRUPTIONS.values(), ids=list(CORRUPTIONS))


@pytest.fixture(scope="module")
def chests() -> Pixels:
    """Three textured images of 64x64, levels 20..235."""
    tf = load().tf
    rough = np.random.default_rng(0).uniform(0, 255, (3, 64, 64, 1)).astype(np.float32)
    smooth = blurred(tf, tf.constant(rough), 1.5).numpy()
    spread = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return (20 + 215 * spread).astype(np.uint8)


@EACH
def test_it_gives_images_of_the_same_shape_and_changes_them(chests: Pixels, corruption: Corruption) -> None:
    result = corruption.applied(chests)
    assert result.dtype == np.uint8
    assert result.shape == chests.shape
    changed = np.abs(result.astype(int) - chests).mean()
    assert changed == 0 if corruption.name == "clean" else changed > 1


@EACH
def test_an_image_comes_out_alike_whatever_is_beside_it(chests: Pixels, corruption: Corruption) -> None:
    together = corruption.applied(chests)
    alone = np.concatenate([corruption.applied(chests[number : number + 1]) for number in range(3)])
    assert np.abs(together.astype(int) - alone).max() <= 1
    (batch,) = corrupted(chests, np.array([2, 0]), corruption)
    assert np.abs(batch.astype(int) - together[[2, 0]]).max() <= 1


@EACH
def test_grey_stays_grey_in_three_channels(chests: Pixels, corruption: Corruption) -> None:
    three = corruption.applied(np.repeat(chests, 3, axis=-1))
    assert np.array_equal(three, np.repeat(corruption.applied(chests), 3, axis=-1))


def detail(images: Pixels) -> float:
    values = images.astype(float)
    return float(np.abs(np.diff(values, axis=1)).mean() + np.abs(np.diff(values, axis=2)).mean())


def test_detail_goes_and_comes_as_the_names_say(chests: Pixels) -> None:
    for name in ("blur", "low-resolution", "flat"):
        assert detail(CORRUPTIONS[name].applied(chests)) < 0.85 * detail(chests)
    for name in ("sharpen", "noise", "hard"):
        assert detail(CORRUPTIONS[name].applied(chests)) > 1.1 * detail(chests)


def test_gamma_makes_darker_and_brighter(chests: Pixels) -> None:
    assert CORRUPTIONS["gamma-dark"].applied(chests).mean() < chests.mean() - 10
    assert CORRUPTIONS["gamma-bright"].applied(chests).mean() > chests.mean() + 10


def test_shapes_are_stretched_as_the_names_say() -> None:
    square = np.zeros((1, 64, 64, 1), np.uint8)
    square[:, 22:42, 22:42] = 200

    def size(name: str) -> tuple[float, float]:
        changed = CORRUPTIONS[name].applied(square)[0, ..., 0] / 200
        return changed.sum(axis=0).max(), changed.sum(axis=1).max()

    (high, broad), (tall, narrow) = size("wide"), size("tall")
    assert broad > 20 > high
    assert tall > 20 > narrow
    assert min(size("crop")) > 20 > max(size("pad"))


def test_a_letterbox_is_black() -> None:
    white = np.full((1, 64, 64, 1), 200, np.uint8)
    assert CORRUPTIONS["pad"].applied(white)[0, :2].max() == 0
    assert CORRUPTIONS["rotate"].applied(white).min() == 200


def test_names_that_are_none_are_answered_with_the_list() -> None:
    assert [each.name for each in find_corruptions(("blur", "pad"))] == ["blur", "pad"]
    assert len(find_corruptions(())) == len(CORRUPTIONS)
    with pytest.raises(UsageError, match="no corruption 'fog'") as error:
        find_corruptions(("fog",))
    assert "local-contrast" in str(error.value.hint)


def test_a_threshold_may_be_chosen_on_corrupted_copies_too(chests: Pixels) -> None:
    keras = load().keras
    layers = [keras.Input((64, 64, 1)), keras.layers.GlobalAveragePooling2D(), keras.layers.Rescaling(1 / 255)]
    model = keras.Sequential(layers)  # the probability is the mean level
    data = TrainingData(chests, np.array([0, 1, 1]), np.array([0]), np.array([1, 2]), 2)
    plain = operating_scores(model, data, ChosenOn.VALIDATION)
    assert plain.probabilities[:, 1] == pytest.approx(chests[1:].mean(axis=(1, 2, 3)) / 255, abs=1e-4)
    assert (plain.labels.tolist(), plain.chosen_on) == ([1, 1], "validation")
    spread = operating_scores(model, data, ChosenOn.CORRUPTED_VALIDATION)
    assert spread.chosen_on == "corrupted-validation"
    assert spread.labels.tolist() == [1, 1] * len(CORRUPTIONS)
    assert np.array_equal(spread.probabilities[:2], plain.probabilities)
    dark = list(CORRUPTIONS).index("gamma-dark")
    of_dark = CORRUPTIONS["gamma-dark"].applied(chests[1:]).mean(axis=(1, 2, 3)) / 255
    assert spread.probabilities[2 * dark : 2 * dark + 2, 1] == pytest.approx(of_dark, abs=1e-4)
