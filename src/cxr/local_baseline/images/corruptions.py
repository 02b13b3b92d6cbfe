"""Semi-realistic corruptions of cached images: a check of robustness that needs no second hospital.

After Hendrycks and Dietterich, Benchmarking neural network robustness to common corruptions, ICLR 2019, with what
radiographs go through instead of weather: another device, another processing, another crop, another file. Each has one
fixed severity, chosen so that a reader still sees the same lungs.

They overlap with training augmentation in kind, and a net that was augmented so has an advantage here that it may not
have elsewhere. What keeps the check honest: training draws its changes at random, these come one at a time, at a fixed
severity and by operations of their own. Nothing like them in training: low-resolution (down and up by other kernels),
jpeg, equalise (a histogram), hard (both ends cut off), local-contrast (division by the local deviation). Alike in kind:
blur and sharpen (boxes here, a random weight for each of three Gaussian bands there), noise, gamma-dark, gamma-bright,
flat, crop, pad, wide, tall and rotate, near the edge of what the flagship draws or beyond it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cxr.errors import UsageError
from cxr.local_baseline.images.preprocess import Pixels
from cxr.local_baseline.tensorflow_setup import load

#: Images that are changed at once.
BATCH_IMAGES = 128
#: The side that widths in pixels are given for; they grow with the image.
REFERENCE_SIDE = 128.0
NOISE_SEED = 20_180_222

#: float32 [N, H, W, C] of 0..255 -> the same shape, before clipping and rounding.
Change = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Corruption:
    """One way in which the same chest may look otherwise: `severity` says how much, `why` where that happens."""

    name: str
    severity: str
    why: str
    change: Change

    def applied(self, images: Pixels) -> Pixels:
        """The corrupted images, uint8 [N, H, W, C], each a function of itself only. Images of three equal channels stay
        grey."""
        tf = load().tf
        grey = images.shape[-1] == 3 and bool((images == images[..., :1]).all())
        values = tf.constant(np.asarray(images[..., :1] if grey else images, np.float32))
        changed = np.asarray(tf.clip_by_value(tf.round(self.change(values)), 0.0, 255.0)).astype(np.uint8)
        return np.repeat(changed, 3, axis=-1) if grey else changed


def corrupted(images: Pixels, rows: npt.NDArray[np.int64], corruption: Corruption) -> Iterator[Pixels]:
    """The chosen rows of an array of images, corrupted, in batches of uint8."""
    for start in range(0, len(rows), BATCH_IMAGES):
        yield corruption.applied(np.asarray(images[rows[start : start + BATCH_IMAGES]]))


def find_corruptions(names: tuple[str, ...]) -> tuple[Corruption, ...]:
    """Corruptions by name; all without names. Raises UsageError that lists them for one there is not."""
    unknown = [name for name in names if name not in CORRUPTIONS]
    if unknown:
        raise UsageError(f"there is no corruption {unknown[0]!r}", hint=f"choose among: {', '.join(CORRUPTIONS)}")
    return tuple(CORRUPTIONS[name] for name in names or CORRUPTIONS)


def _unit(images: Any) -> float:
    return min(int(images.shape[1]), int(images.shape[2])) / REFERENCE_SIDE


def _box_blur(images: Any, width: float) -> Any:
    """Three box filters in a row (close to a Gaussian, and not training's), of `width` pixels on the reference side."""
    tf = load().tf
    side = max(3, 2 * round(width * _unit(images) / 2) + 1)
    edge = side // 2
    for _ in range(3):
        padded = tf.pad(images, [[0, 0], [edge, edge], [edge, edge], [0, 0]], "SYMMETRIC")
        images = tf.nn.avg_pool2d(padded, side, 1, "VALID")
    return images


def _blur(images: Any) -> Any:
    return _box_blur(images, 3.0)


def _low_resolution(images: Any) -> Any:
    resize = load().tf.image.resize
    height, width = int(images.shape[1]), int(images.shape[2])
    small = resize(images, (round(height * 0.4), round(width * 0.4)), antialias=True)
    return resize(small, (height, width), method="bicubic")


def _sharpen(images: Any) -> Any:
    return images + 1.5 * (images - _box_blur(images, 2.0))


def _jpeg(images: Any) -> Any:
    tf = load().tf
    form = "grayscale" if images.shape[-1] == 1 else "rgb"
    return tf.stack(
        [
            tf.cast(tf.io.decode_jpeg(tf.io.encode_jpeg(tf.cast(image, tf.uint8), format=form, quality=15)), tf.float32)
            for image in tf.unstack(images)
        ]
    )


def _noise(images: Any) -> Any:
    shape = (*images.shape[1:3], 1)
    # The same pattern on every image: what is compared are nets, not draws.
    pattern = np.random.default_rng(NOISE_SEED).normal(0.0, 12.0, shape).astype(np.float32)
    return images + pattern


def _gamma(power: float) -> Change:
    return lambda images: 255.0 * load().tf.pow(images / 255.0, power)


def _stretched(factor: float) -> Change:
    return lambda images: 127.0 + (images - 127.0) * factor


def _equalise(images: Any) -> Any:
    """Half way to a flat histogram."""
    values = np.asarray(images)
    changed = np.empty_like(values)
    for number, image in enumerate(values):
        levels = np.clip(image, 0, 255).astype(np.uint8)
        share = np.cumsum(np.bincount(levels.ravel(), minlength=256)) / levels.size
        changed[number] = 0.5 * image + 0.5 * 255.0 * share[levels]
    return load().tf.constant(changed)


def _local_contrast(images: Any) -> Any:
    """Each pixel against the mean and the deviation of its neighbourhood, mixed with the image itself."""
    tf = load().tf
    mean = _box_blur(images, 15.0)
    deviation = tf.sqrt(_box_blur(tf.square(images - mean), 15.0))
    return 0.4 * images + 0.6 * (128.0 + 45.0 * (images - mean) / (deviation + 12.0))


def _resampled(*, height: float = 1.0, width: float = 1.0, degrees: float = 0.0, outside: str = "NEAREST") -> Change:
    """Made `height` and `width` times as large about the centre, then turned."""

    def change(images: Any) -> Any:
        tf = load().tf
        rows, columns = int(images.shape[1]), int(images.shape[2])
        angle = math.radians(degrees)
        xx, xy = math.cos(angle) / width, -math.sin(angle) / width
        yx, yy = math.sin(angle) / height, math.cos(angle) / height
        y, x = (rows - 1) / 2, (columns - 1) / 2
        matrix = [xx, xy, x - xx * x - xy * y, yx, yy, y - yx * x - yy * y, 0.0, 0.0]
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=tf.constant([matrix]),
            output_shape=[rows, columns],
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode=outside,
        )

    return change


#: By name, in the order of the tables. `clean` is no corruption: it is what the others are compared with.
CORRUPTIONS: dict[str, Corruption] = {
    corruption.name: corruption
    for corruption in (
        Corruption("clean", "none", "the image as it is", lambda images: images),
        Corruption("blur", "three boxes 3 pixels wide", "motion, a coarse screen, smoothing", _blur),
        Corruption("low-resolution", "0.4 of the size and back", "a thumbnail, a screenshot, a phone", _low_resolution),
        Corruption("sharpen", "detail times 2.5", "edge enhancement of another maker", _sharpen),
        Corruption("jpeg", "quality 15", "an archive or a messenger that compresses", _jpeg),
        Corruption("noise", "standard deviation 12 levels", "a low dose, a sensitive film", _noise),
        Corruption("gamma-dark", "power 1.7", "another display curve", _gamma(1.7)),
        Corruption("gamma-bright", "power 0.6", "another display curve", _gamma(0.6)),
        Corruption("flat", "contrast 0.6", "scatter, a wide window", _stretched(0.6)),
        Corruption("hard", "contrast 1.5, clipped", "a narrow window", _stretched(1.5)),
        Corruption("equalise", "half a histogram equalisation", "automatic windowing", _equalise),
        Corruption("local-contrast", "0.6 of a local normalisation", "adaptive processing", _local_contrast),
        Corruption("crop", "1.17 times as large", "a tight collimation", _resampled(height=1.17, width=1.17)),
        Corruption(
            "pad", "0.85 of the size on black", "a letterbox", _resampled(height=0.85, width=0.85, outside="CONSTANT")
        ),
        Corruption("wide", "1.35 times as wide as high", "another aspect", _resampled(height=0.86, width=1.16)),
        Corruption("tall", "1.35 times as high as wide", "another aspect", _resampled(height=1.16, width=0.86)),
        Corruption("rotate", "8 degrees", "a child that leans", _resampled(degrees=8.0)),
    )
}
