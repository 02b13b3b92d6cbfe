"""Random changes of a batch of training images, as a function of a key: the same key gives the same changes.

All numbers are drawn for the whole batch, however many parts (replicas) it comes in; each part takes its own. Every
kind of change draws from a stream of its own, so that switching one on leaves the others as they are.
"""

from __future__ import annotations

import math
from typing import Any

from cxr.local_baseline.recipes.augmentation import NOTHING, Augmentation
from cxr.local_baseline.tensorflow_setup import load

#: Grey levels from black to white.
RANGE = 255.0
#: The streams of random numbers. New ones go to the end: a stream's number decides what it gives.
STREAMS = (
    "zoom",
    "aspect",
    "shift_y",
    "shift_x",
    "rotation",
    "flip",
    "black",
    "fine",
    "middle",
    "coarse",
    "blur",
    "contrast",
    "brightness",
    "gamma",
    "noise",
    "noise_pixels",
    "erase",
    "erase_y",
    "erase_x",
    "erase_height",
    "erase_width",
    "erase_level",
)
#: Where detail is cut into bands: standard deviations of two Gaussians in pixels of an image with sides of 128, and of
#: a third on the image shrunk by COARSE_STEP.
FINE_SIGMA, MIDDLE_SIGMA, COARSE_SIGMA = 0.8, 1.8, 1.2
REFERENCE_SIDE = 128.0
#: A small image's finest band is still what its pixels can show: the Gaussians get no narrower than this.
LEAST_UNIT = 0.625
COARSE_STEP = 4
#: How much less the coarser bands are changed than the finest: much of what tells a lung is there.
MIDDLE_GAIN, COARSE_GAIN = 0.7, 0.5
#: What a blurred image keeps of its finest band at most.
BLURRED_GAIN = 0.5
#: Half the sides of an erased rectangle, as shares of the image's side.
ERASE_LEAST, ERASE_MOST = 0.05, 0.2


def augment(images: Any, augmentation: Augmentation, key: Any, place: Any = None) -> Any:
    """Change a batch, float32 [N, H, W, C] of 0..255, at random; the result has its shape and range.

    `key` is an int64 tensor [2]. `place` (first, of) says which part of a batch the images are. Images of three equal
    channels (grey files read as colour) are changed as one channel, which takes a third of the time.
    """
    if augmentation == NOTHING:
        return images
    tf = load().tf
    draws = _Draws(tf, key, tf.shape(images, out_type=tf.int64)[0], place)
    if images.shape[-1] != 3:
        return _changed(tf, images, augmentation, draws)
    first = images[..., :1]
    return tf.cond(
        tf.reduce_all(images == first),
        lambda: tf.repeat(_changed(tf, first, augmentation, draws), 3, axis=-1),
        lambda: _changed(tf, images, augmentation, draws),
    )


def _changed(tf: Any, images: Any, changes: Augmentation, draws: _Draws) -> Any:
    if changes.moves:
        images = _moved(tf, images, changes, draws)
    if changes.bands or changes.blur:
        images = _with_band_gains(tf, images, changes, draws)
    if changes.contrast or changes.brightness:
        mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
        images = mean + (images - mean) * tf.exp(changes.contrast * draws.of_pixels("contrast"))
        images += changes.brightness * RANGE * draws.of_pixels("brightness")
    if changes.gamma:
        # A power is for 0..1 only.
        share = tf.clip_by_value(images / RANGE, 0.0, 1.0)
        images = RANGE * tf.pow(share, tf.exp(changes.gamma * draws.of_pixels("gamma")))
    if changes.noise:
        images += changes.noise * RANGE * _noise(tf, images, draws)
    if changes.erase:
        images = _erased(tf, images, changes.erase, draws)
    return tf.clip_by_value(images, 0.0, RANGE)


class _Draws:
    """A batch's random numbers; of a part of it those that are its own."""

    def __init__(self, tf: Any, key: Any, images: Any, place: Any) -> None:
        self._tf, self._key = tf, key
        self._first: Any = 0 if place is None else place[0]
        self._total: Any = images if place is None else place[1]
        self._end = self._first + images

    def uniform(self, stream: str) -> Any:
        """One number in -1..1 for each image, float32 [N]."""
        return self._tf.random.stateless_uniform((self._total,), self._seed(stream), -1.0, 1.0)[self._first : self._end]

    def of_pixels(self, stream: str) -> Any:
        """The same [N, 1, 1, 1], for arithmetic with images."""
        return self.uniform(stream)[:, None, None, None]

    def happens(self, stream: str, share: float) -> Any:
        """Whether it happens to each image, bool [N]: to `share` of all."""
        return self.uniform(stream) < 2.0 * share - 1.0

    def normal(self, stream: str, shape: tuple[Any, ...]) -> Any:
        """Standard normal numbers [N, *shape]."""
        return self._tf.random.stateless_normal((self._total, *shape), self._seed(stream))[self._first : self._end]

    def _seed(self, stream: str) -> Any:
        return self._tf.random.experimental.stateless_fold_in(self._key, STREAMS.index(stream))


def _moved(tf: Any, images: Any, changes: Augmentation, draws: _Draws) -> Any:
    """Zoomed, stretched, turned about the centre, then shifted; between pixels bilinear."""
    height, width = float(images.shape[1]), float(images.shape[2])
    zoom = tf.exp(changes.zoom * draws.uniform("zoom"))
    stretch = tf.exp(changes.aspect / 2.0 * draws.uniform("aspect"))
    scale_y, scale_x = zoom * stretch, zoom / stretch
    if changes.horizontal_flip:
        scale_x *= tf.sign(draws.uniform("flip"))
    angle = math.pi / 180.0 * changes.rotation * draws.uniform("rotation")
    # Output to input coordinates about the centre: in = matrix @ (out - centre) + centre + shift.
    xx, xy = scale_x * tf.cos(angle), -scale_x * tf.sin(angle)
    yx, yy = scale_y * tf.sin(angle), scale_y * tf.cos(angle)
    centre_y, centre_x = (height - 1.0) / 2.0, (width - 1.0) / 2.0
    offset_x = centre_x - xx * centre_x - xy * centre_y + changes.shift * width * draws.uniform("shift_x")
    offset_y = centre_y - yx * centre_x - yy * centre_y + changes.shift * height * draws.uniform("shift_y")
    zero = tf.zeros_like(xx)
    matrix = tf.stack([xx, xy, offset_x, yx, yy, offset_y, zero, zero], axis=1)

    def transformed(outside: str) -> Any:
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=matrix,
            output_shape=[int(height), int(width)],  # known before the run, as what follows needs it
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode=outside,
        )

    if not changes.black:
        return transformed("NEAREST")
    black = draws.happens("black", changes.black)[:, None, None, None]
    return tf.where(black, transformed("CONSTANT"), transformed("NEAREST"))


def _with_band_gains(tf: Any, images: Any, changes: Augmentation, draws: _Draws) -> Any:
    """The sum of the bands, each times its gain; the mean stays what it was."""
    height, width = int(images.shape[1]), int(images.shape[2])
    unit = max(min(height, width) / REFERENCE_SIDE, LEAST_UNIT)
    without_fine = blurred(tf, images, FINE_SIGMA * unit)
    without_middle = blurred(tf, without_fine, MIDDLE_SIGMA * unit)
    small = blurred(tf, tf.nn.avg_pool2d(without_middle, COARSE_STEP, COARSE_STEP, "SAME"), COARSE_SIGMA * unit)
    rest = tf.image.resize(small, (height, width))
    gain = draws.of_pixels("fine")
    fine = tf.exp(changes.bands * gain)
    if changes.blur:
        hit = draws.happens("blur", changes.blur)[:, None, None, None]
        fine = tf.where(hit, BLURRED_GAIN * tf.maximum(gain, 0.0), fine)
    middle = tf.exp(MIDDLE_GAIN * changes.bands * draws.of_pixels("middle"))
    coarse = tf.exp(COARSE_GAIN * changes.bands * draws.of_pixels("coarse"))
    result = (
        rest
        + coarse * (without_middle - rest)
        + middle * (without_fine - without_middle)
        + fine * (images - without_fine)
    )
    drift = tf.reduce_mean(images - result, axis=(1, 2, 3), keepdims=True)
    return result + drift


def blurred(tf: Any, images: Any, sigma: float) -> Any:
    """Gaussian blur, float32 [N, H, W, C], each channel on its own; the image is mirrored at its edges, which keeps its
    mean. `sigma` in pixels."""
    radius = min(max(1, math.ceil(2.5 * sigma)), int(images.shape[1]), int(images.shape[2]))
    weights = [math.exp(-0.5 * (offset / sigma) ** 2) for offset in range(-radius, radius + 1)]
    kernel = tf.constant([weight / sum(weights) for weight in weights], tf.float32)
    channels = int(images.shape[-1])
    x = tf.pad(images, [[0, 0], [radius, radius], [radius, radius], [0, 0]], "SYMMETRIC")
    for shape in ((-1, 1, 1, 1), (1, -1, 1, 1)):
        x = tf.nn.depthwise_conv2d(x, tf.repeat(tf.reshape(kernel, shape), channels, axis=2), (1, 1, 1, 1), "VALID")
    return x


def _noise(tf: Any, images: Any, draws: _Draws) -> Any:
    """Gaussian noise, the same in all channels, of a strength of each image's own: small ones are common (the square
    of a uniform number)."""
    size = (images.shape[1], images.shape[2], 1)
    return tf.square((draws.of_pixels("noise") + 1.0) / 2.0) * draws.normal("noise_pixels", size)


def _erased(tf: Any, images: Any, share: float, draws: _Draws) -> Any:
    """A rectangle of one level in `share` of the images; its centre is anywhere."""
    height, width = int(images.shape[1]), int(images.shape[2])
    y = ((tf.range(height, dtype=tf.float32) + 0.5) / height)[None, :, None, None]
    x = ((tf.range(width, dtype=tf.float32) + 0.5) / width)[None, None, :, None]

    def between(stream: str, low: float, high: float) -> Any:
        return low + (high - low) * (draws.of_pixels(stream) + 1.0) / 2.0

    inside = (
        (tf.abs(y - between("erase_y", 0.0, 1.0)) < between("erase_height", ERASE_LEAST, ERASE_MOST))
        & (tf.abs(x - between("erase_x", 0.0, 1.0)) < between("erase_width", ERASE_LEAST, ERASE_MOST))
        & draws.happens("erase", share)[:, None, None, None]
    )
    return tf.where(inside, between("erase_level", 0.0, RANGE), images)
