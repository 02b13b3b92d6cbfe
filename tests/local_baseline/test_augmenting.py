"""Random changes of training images: drawn from the key alone, within the range, and each doing what it says."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr.local_baseline.recipes import Augmentation
from cxr.local_baseline.recipes.augmentation import MAGNITUDES, SHARES
from cxr.local_baseline.recipes.overrides import STAGE_KNOBS
from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.training.augmenting import STREAMS, augment, blurred

Pixels = npt.NDArray[np.float32]
EVERYTHING = Augmentation(
    zoom=0.2,
    aspect=0.2,
    shift=0.1,
    rotation=8.0,
    black=0.5,
    bands=0.7,
    blur=0.3,
    contrast=0.4,
    brightness=0.1,
    gamma=0.4,
    noise=0.05,
    erase=0.5,
)
NAMES = (*MAGNITUDES, *SHARES)


def changed(images: Pixels, augmentation: Augmentation, key: tuple[int, int] = (1, 2), place: Any = None) -> Pixels:
    tf = load().tf
    where = None if place is None else tf.constant(place, tf.int64)
    result: Pixels = augment(tf.constant(images), augmentation, tf.constant(key, tf.int64), where).numpy()
    return result


@pytest.fixture(scope="module")
def chests() -> Pixels:
    """Six smooth random images of 32x48, float32 of 10..245."""
    tf = load().tf
    rough = np.random.default_rng(0).uniform(10, 245, (6, 32, 48, 1)).astype(np.float32)
    smooth: Pixels = blurred(tf, tf.constant(rough), 1.5).numpy()
    return smooth


def test_nothing_leaves_the_very_tensor_alone(chests: Pixels) -> None:
    images = load().tf.constant(chests)
    assert augment(images, Augmentation(), load().tf.constant([1, 2], load().tf.int64)) is images
    assert EVERYTHING.times(0) == Augmentation()


def test_a_traced_function_does_the_same(chests: Pixels) -> None:
    tf = load().tf
    traced = tf.function(
        lambda images, key, place: augment(images, EVERYTHING, key, place),
        input_signature=[tf.TensorSpec((None, 32, 48, 1)), *[tf.TensorSpec((2,), tf.int64)] * 2],
    )
    result = traced(chests, np.array([1, 2]), np.array([0, 6])).numpy()
    assert np.allclose(result, changed(chests, EVERYTHING), atol=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_a_tiny_strength_changes_next_to_nothing_and_a_large_one_something(chests: Pixels, name: str) -> None:
    large = getattr(EVERYTHING, name)
    shift = {"shift": 0.1} if name == "black" else {}
    before = changed(chests, Augmentation(**shift))
    assert np.abs(changed(chests, Augmentation(**{name: 1e-6}, **shift)) - before).max() < 0.02
    assert np.abs(changed(chests, Augmentation(**{name: large}, **shift)) - before).max() > 1.0


@pytest.mark.parametrize("channels", [1, 3])
def test_the_same_key_gives_the_same_images_and_another_key_others(chests: Pixels, channels: int) -> None:
    images = np.repeat(chests, channels, axis=-1)
    first, again, other = (changed(images, EVERYTHING, key) for key in ((1, 2), (1, 2), (1, 3)))
    assert np.array_equal(first, again)
    assert np.abs(first - other).max() > 10


@settings(max_examples=15, deadline=None)
@given(cut=st.integers(1, 5), seed=st.integers(0, 2**32 - 1), step=st.integers(0, 10**9))
def test_the_parts_of_a_batch_are_the_batch(chests: Pixels, cut: int, seed: int, step: int) -> None:
    whole = changed(chests, EVERYTHING, (seed, step))
    parts = [
        changed(chests[:cut], EVERYTHING, (seed, step), (0, 6)),
        changed(chests[cut:], EVERYTHING, (seed, step), (cut, 6)),
    ]
    assert np.array_equal(np.concatenate(parts), whole)


@settings(max_examples=15, deadline=None)
@given(strength=st.floats(0.01, 3.0), step=st.integers(0, 10**9), low=st.integers(0, 255), high=st.integers(0, 255))
def test_grey_levels_stay_between_black_and_white(strength: float, step: int, low: int, high: int) -> None:
    images = np.random.default_rng(step).choice([low, high], (3, 16, 16, 1)).astype(np.float32)
    result = changed(images, EVERYTHING.times(strength), (1, step))
    assert np.isfinite(result).all()
    assert (result.min(), result.max()) >= (0.0, 0.0)
    assert result.max() <= 255.0
    assert result.shape == images.shape


def test_grey_images_in_three_channels_are_changed_as_one_and_colour_survives(chests: Pixels) -> None:
    grey = changed(np.repeat(chests, 3, axis=-1), EVERYTHING)
    assert np.array_equal(grey, np.repeat(changed(chests, EVERYTHING), 3, axis=-1))
    colour = np.concatenate([chests, chests * 0.5, chests], axis=-1)
    moved = changed(colour, Augmentation(zoom=0.2, rotation=8.0))
    assert np.allclose(moved[..., 1], moved[..., 0] * 0.5, atol=1e-3)


@settings(max_examples=15, deadline=None)
@given(
    level=st.floats(0, 255),
    height=st.integers(9, 40),
    width=st.integers(9, 40),
    gain=st.floats(0.01, 2.0),
    step=st.integers(0, 10**6),
)
def test_band_gains_leave_constants_and_the_mean_alone(
    level: float, height: int, width: int, gain: float, step: int
) -> None:
    flat = np.full((2, height, width, 1), level, np.float32)
    bands = Augmentation(bands=gain, blur=0.5)
    assert np.abs(changed(flat, bands, (3, step)) - flat).max() < 0.01
    gentle = np.random.default_rng(step).uniform(120, 130, flat.shape).astype(np.float32)  # never clipped
    result = changed(gentle, bands, (3, step))
    assert np.allclose(result.mean(axis=(1, 2, 3)), gentle.mean(axis=(1, 2, 3)), atol=0.01)


def test_bands_blur_some_images_and_sharpen_others() -> None:
    many = np.random.default_rng(1).uniform(110, 140, (64, 32, 32, 1)).astype(np.float32)
    detail = changed(many, Augmentation(bands=0.7)).std(axis=(1, 2, 3)) / many.std(axis=(1, 2, 3))
    assert detail.min() < 0.8 < 1.2 < detail.max()
    cut = changed(many, Augmentation(bands=0.01, blur=0.25)).std(axis=(1, 2, 3)) / many.std(axis=(1, 2, 3))
    assert 0.1 < (cut < 0.8).mean() < 0.4


def test_contrast_keeps_the_mean_and_brightness_the_deviation() -> None:
    images = np.random.default_rng(1).uniform(115, 135, (32, 8, 8, 1)).astype(np.float32)
    mean, deviation = (lambda x: x.mean(axis=(1, 2, 3))), (lambda x: x.std(axis=(1, 2, 3)))
    hard = changed(images, Augmentation(contrast=0.5))
    assert np.allclose(mean(hard), mean(images), atol=0.01)
    factor = deviation(hard) / deviation(images)
    assert np.exp(-0.5) <= factor.min() < 0.8 < 1.2 < factor.max() <= np.exp(0.5)
    bright = changed(images, Augmentation(brightness=0.1))
    assert np.allclose(deviation(bright), deviation(images), atol=0.01)
    assert 15 < np.abs(mean(bright) - mean(images)).max() <= 25.5


def test_gamma_keeps_order_and_both_ends() -> None:
    ramp = np.broadcast_to(np.linspace(0, 255, 20, dtype=np.float32)[None, None, :, None], (8, 4, 20, 1))
    bent = changed(np.array(ramp), Augmentation(gamma=0.5))
    assert (np.diff(bent, axis=2) > 0).all()
    assert np.allclose(bent[:, :, [0, -1]], [[[[0.0], [255.0]]]], atol=1e-3)


def test_a_zoom_keeps_the_centre_and_the_aspect_and_log_size_is_symmetric() -> None:
    images = np.zeros((256, 41, 41, 1), np.float32)
    images[:, 12:29, 12:29] = 200.0
    zoomed = changed(images, Augmentation(zoom=0.3))
    height, width = (zoomed.mean(axis=axis).max(axis=(1, 2)) / 200 * 41 for axis in (1, 2))
    assert np.allclose(height, width, atol=0.5)
    assert np.abs(np.log(height / 17).mean()) < 0.04
    assert np.exp(-0.35) < (height / 17).min() < 0.8 < 1.25 < (height / 17).max() < np.exp(0.35)
    assert np.allclose(zoomed, zoomed[:, ::-1], atol=0.01)
    assert np.allclose(zoomed, zoomed[:, :, ::-1], atol=0.01)


def test_an_aspect_changes_height_against_width() -> None:
    images = np.zeros((64, 41, 41, 1), np.float32)
    images[:, 12:29, 12:29] = 200.0
    stretched = changed(images, Augmentation(aspect=0.4))
    width, height = (stretched.mean(axis=axis).max(axis=(1, 2)) for axis in (1, 2))
    assert np.exp(-0.45) < (height / width).min() < 0.8 < 1.25 < (height / width).max() < np.exp(0.45)


def test_a_rotation_keeps_distances() -> None:
    images = np.zeros((32, 41, 41, 1), np.float32)
    images[:, 20, 35] = 200.0
    y, x = np.mgrid[:41, :41] - 20.0
    turned = changed(images, Augmentation(rotation=30.0))[..., 0]
    mass = turned.sum(axis=(1, 2))
    radius = np.hypot((turned * y).sum(axis=(1, 2)) / mass, (turned * x).sum(axis=(1, 2)) / mass)
    angle = np.degrees(np.arctan2((turned * y).sum(axis=(1, 2)), (turned * x).sum(axis=(1, 2))))
    assert np.allclose(radius, 15, atol=0.6)
    assert angle.min() < -15
    assert angle.max() > 15
    assert np.abs(angle).max() < 31


def test_outside_is_black_for_a_share_of_the_images_and_the_edge_for_the_others() -> None:
    white = np.full((200, 16, 16, 1), 200.0, np.float32)
    assert (changed(white, Augmentation(zoom=0.3, shift=0.2)) > 199).all()
    dark = (changed(white, Augmentation(shift=0.4, black=0.5)) < 1).any(axis=(1, 2, 3))
    assert 0.35 < dark.mean() < 0.65
    assert (changed(white, Augmentation(shift=0.4, black=1.0)) < 1).any(axis=(1, 2, 3)).mean() > 0.95


def test_an_erased_rectangle_has_one_level_and_a_size_within_bounds() -> None:
    images = np.full((300, 40, 40, 1), 100.0, np.float32)
    erased = changed(images, Augmentation(erase=0.5))
    hit = (erased != 100).any(axis=(1, 2, 3))
    assert 0.4 < hit.mean() < 0.6
    for image in erased[hit]:
        levels = np.unique(image[image != 100])
        assert len(levels) == 1
        assert (image != 100).mean() <= 0.4**2 + 0.03


def test_flips_happen_only_when_asked() -> None:
    ramp = np.array(np.broadcast_to(np.arange(20, dtype=np.float32)[None, None, :, None], (32, 20, 20, 1)))
    rising = lambda images: images[:, 10, -1, 0] > images[:, 10, 0, 0]  # noqa: E731
    assert rising(changed(ramp, Augmentation(zoom=0.1, shift=0.1))).all()
    assert 0 < rising(changed(ramp, Augmentation(horizontal_flip=True))).sum() < 32


def test_one_change_more_leaves_the_others_as_they_are() -> None:
    images = np.random.default_rng(0).uniform(100, 150, (5, 16, 16, 1)).astype(np.float32)
    bright = changed(images, Augmentation(brightness=0.1)) - images
    both = changed(images, Augmentation(brightness=0.1, shift=0.1)) - changed(images, Augmentation(shift=0.1))
    assert np.allclose(bright, both, atol=1e-3)


def test_every_size_can_be_set_and_every_stream_is_known_once() -> None:
    sizes = {field.name for field in fields(Augmentation)} - {"horizontal_flip"}
    assert sizes == set(NAMES)
    assert {f"augmentation.{name}" for name in sizes} == {key for key in STAGE_KNOBS if key.startswith("augmentation.")}
    assert len(set(STREAMS)) == len(STREAMS)


def test_strength_multiplies_sizes_and_caps_shares() -> None:
    twice = EVERYTHING.times(3)
    assert twice.zoom == pytest.approx(0.6)
    assert (twice.erase, twice.blur) == (1.0, pytest.approx(0.9))
