"""The contract's pixels: TensorFlow's antialiased resize is the independent implementation that they are held
against."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cxr.bundle import Preprocessing
from cxr.errors import InputError
from cxr.local_baseline.images.preprocess import load_image, preprocess, resize, round_to_uint8
from cxr.local_baseline.tensorflow_setup import load


def encoded(pixels: np.ndarray, form: str = "PNG", **options: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@settings(max_examples=25, deadline=None)
@given(
    source=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    target=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    seed=st.integers(0, 1000),
)
def test_resize_equals_tensorflows_antialiased_resize(
    source: tuple[int, int], target: tuple[int, int], seed: int
) -> None:
    tf = load().tf
    plane = noise(*source, seed=seed).astype(np.float32)
    expected = tf.image.resize(plane[..., None], target, method="bilinear", antialias=True).numpy()[..., 0]
    assert np.abs(resize(plane, Preprocessing(*target, 1)) - expected).max() < 0.01


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_to_pixels_equals_tensorflows_accurate_decode_and_resize(channels: int) -> None:
    tf = load().tf
    smooth = np.asarray(Image.fromarray(noise(12, 15, 3)).resize((300, 240), Image.Resampling.BICUBIC))
    data = encoded(smooth if channels == 3 else smooth[..., 0], "JPEG", quality=92)
    decoded = tf.io.decode_jpeg(data, channels=channels, dct_method="INTEGER_ACCURATE", fancy_upscaling=True)
    expected = tf.image.resize(decoded, (64, 80), antialias=True).numpy()
    ours = load_image(data, Preprocessing(64, 80, channels))  # type: ignore[arg-type]
    assert np.abs(ours - expected).max() <= 0.51


def test_golden_pixels_do_not_change() -> None:
    # By hand for the first: rows 0..2 weigh .75 .75 .25 (mean 5/7), columns 0..3 weigh 2/3 1 2/3 1/3 (mean 5/4);
    # 7 * (6 * 5/7 + 5/4) = 38.75.
    plane = np.arange(36, dtype=np.float32).reshape(6, 6) * 7
    ours = preprocess([plane], Preprocessing(3, 2, 1))[..., 0]
    assert ours.tolist() == [[39, 56], [114, 131], [189, 206]]


def test_values_are_rounded_half_to_even_and_clipped() -> None:
    values = np.array([[0.5, 1.5, 2.5, 254.5, -3.0, 255.4]], np.float32)
    assert round_to_uint8(values).tolist() == [[0, 2, 2, 254, 0, 255]]


def test_grey_stored_as_rgb_gives_the_same_pixels_as_grey() -> None:
    grey = noise(50, 40)
    contract = Preprocessing(30, 30, 1)
    as_grey = load_image(encoded(grey), contract)
    assert (load_image(encoded(np.dstack([grey] * 3)), contract) == as_grey).all()


def test_a_grey_image_fills_three_equal_channels() -> None:
    grey = noise(50, 40)
    pixels = load_image(encoded(grey), Preprocessing(30, 30, 3))
    assert pixels.shape == (30, 30, 3)
    assert (pixels[..., 0] == pixels[..., 2]).all()
    assert (pixels == load_image(encoded(np.dstack([grey] * 3)), Preprocessing(30, 30, 3))).all()


def test_each_colour_channel_is_resized_by_itself() -> None:
    colour = noise(50, 40, 3)
    pixels = load_image(encoded(colour), Preprocessing(20, 20, 3))
    for channel in range(3):
        alone = load_image(encoded(colour[..., channel]), Preprocessing(20, 20, 1))
        assert (pixels[..., channel] == alone[..., 0]).all()


def test_center_crop_takes_the_largest_centred_square() -> None:
    wide = noise(40, 60)
    cropped = load_image(encoded(wide), Preprocessing(20, 20, 1, "center-crop"))
    assert (cropped == load_image(encoded(wide[:, 10:50]), Preprocessing(20, 20, 1))).all()
    assert not (cropped == load_image(encoded(wide), Preprocessing(20, 20, 1))).all()


@settings(max_examples=40, deadline=None)
@given(
    source=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    target=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    seed=st.integers(0, 1000),
)
def test_pad_keeps_the_aspect_ratio_and_adds_black_evenly(
    source: tuple[int, int], target: tuple[int, int], seed: int
) -> None:
    """Held against TensorFlow's own letterbox (its size of the content, then its antialiased resize), where the two
    round the shorter side alike."""
    tf = load().tf
    contract = Preprocessing(*target, 1, "pad")
    plane = noise(*source, seed=seed) | 64  # no black of its own
    ours = load_image(encoded(plane), contract)[..., 0]
    height, width = contract.inside(*source)
    assert height == target[0] or width == target[1]
    scale = min(target[0] / source[0], target[1] / source[1])
    half = 0.5 + 1e-9  # the scale is a float: a side of exactly 8.5 may come out below
    assert abs(height - source[0] * scale) <= half or height == 1
    assert abs(width - source[1] * scale) <= half or width == 1
    top, left = (target[0] - height) // 2, (target[1] - width) // 2
    content = tf.image.resize(plane[..., None].astype(np.float32), (height, width), antialias=True)
    expected = tf.image.pad_to_bounding_box(content, top, left, *target).numpy()[..., 0]
    assert np.abs(ours - expected).max() <= 0.51
    assert (ours > 0).sum() == height * width


def test_golden_padded_pixels_do_not_change() -> None:
    wide = np.array([[80, 80, 160, 160], [80, 80, 160, 160]], np.uint8)
    padded = load_image(encoded(wide), Preprocessing(4, 4, 1, "pad"))[..., 0]
    assert padded.tolist() == [[0, 0, 0, 0], [80, 80, 160, 160], [80, 80, 160, 160], [0, 0, 0, 0]]
    # 3x5 into 4x4: 4 wide and 12/5 = 2.4, so 2, high; one black row above, one below.
    assert Preprocessing(4, 4, 1, "pad").inside(3, 5) == (2, 4)
    # 1x2 into 5x5: 5 wide and exactly 2.5 high, which is rounded up; the odd row of black is below.
    half = load_image(encoded(np.full((1, 2), 90, np.uint8)), Preprocessing(5, 5, 1, "pad"))[..., 0]
    assert half[:, 0].tolist() == [0, 90, 90, 90, 0]
    assert Preprocessing(4, 4, 1, "pad").inside(10, 31) == (1, 4)
    assert Preprocessing(4, 4, 1, "pad").inside(1, 1000) == (1, 4)


def test_pad_of_a_square_is_squash() -> None:
    square = encoded(noise(40, 40, 3))
    assert (load_image(square, Preprocessing(16, 16, 3, "pad")) == load_image(square, Preprocessing(16, 16, 3))).all()


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    grey = noise(20, 20)
    deep = encoded(grey.astype(np.uint16) * 257)
    assert (load_image(deep, Preprocessing(20, 20, 1)) == grey[..., None]).all()


def test_the_same_size_changes_nothing() -> None:
    grey = noise(33, 21)
    assert (load_image(encoded(grey), Preprocessing(33, 21, 1))[..., 0] == grey).all()


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"not an image at all", "is not an image"), (encoded(noise(90, 90), "JPEG")[:900], "cannot be decoded")],
    ids=["text", "truncated"],
)
def test_a_broken_file_is_named(data: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        load_image(data, Preprocessing(8, 8, 1), name="train/NORMAL/a.jpeg")
    assert "train/NORMAL/a.jpeg" in error.value.message
    assert error.value.hint


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no image .*gone\.jpeg"):
        load_image(tmp_path / "gone.jpeg", Preprocessing(8, 8, 1))
