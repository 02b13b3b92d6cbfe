"""Whether an image looks like the chest X-rays that a model was trained on: a simple check, no safeguard.

A model scores whatever it is given. The page therefore asks first, by five measures of the preprocessed image, and says
so when one of them is outside of what the training images have. The TypeScript twin, which gives the same numbers, is
`webapp/src/core/looksLikeChest.ts`: it is what judges images. This program only fits and writes a Gate; its `measure`,
`passes`, `from_json` and `colour_of` are the reference that tests hold the twin to.

- `colour`: mean over the file's pixels of the largest minus the smallest channel, 0..255;
- `contrast`: standard deviation of a grey thumbnail of 16 x 16, 0..255. For the other three its mean is taken off and
  its length made 1;
- `error`: what the principal components of the training thumbnails leave of it (Turk and Pentland, Eigenfaces for
  Recognition, J. Cognitive Neuroscience 1991: the distance from face space);
- `distance`: Mahalanobis's among those components, divided by the root of their number;
- `upright`: its projection on the direction that best tells (Fisher's linear discriminant) the training thumbnails from
  the same turned upside down, by a half turn or by a mirror. Components alone do not see that.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from cxr.bundle import Preprocessing
from cxr.local_baseline.images.preprocess import resize

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]
Stored = npt.NDArray[np.float32]

SIZE = 16
COMPONENTS = 24
#: With fewer training images the limits would be chance.
FEWEST_IMAGES = 100
#: More say nothing new: every n-th is taken.
MOST_IMAGES = 20_000
FOLDS = 5
#: The share of training images, each measured by a check that was fitted without it, that each limit lets through…
INSIDE_PERCENT = 99.9
#: … and how much further than that a limit is set.
MARGIN = 0.05
#: X-rays are grey; a grey picture stored in colour is off by a few levels.
MOST_COLOUR = 12.0
#: Added to the discriminant's covariance, as a share of its mean variance.
RIDGE = 0.01


@dataclass(frozen=True, slots=True)
class Measures:
    """What an image is judged by; the module says in what units."""

    colour: float
    contrast: float
    error: float
    distance: float
    upright: float


@dataclass(frozen=True, slots=True)
class Limits:
    """Up to where an image counts as a chest X-ray, each in the units of its measure: `most_colour` and
    `least_contrast` are levels of 0..255, `most_error` is a length (a thumbnail's own is 1), `most_distance` counts
    standard deviations (0 or more), `least_upright` is a projection, -1..1."""

    most_colour: float
    least_contrast: float
    most_error: float
    most_distance: float
    least_upright: float


@dataclass(frozen=True)
class Gate:
    """The fitted check. `mean` [256], `directions` [components, 256] with the training images' `deviations`
    [components] along them, `upright` [256]: all of thumbnails of length 1, float32 as in page.json."""

    mean: Stored
    directions: Stored
    deviations: Stored
    upright: Stored
    limits: Limits

    def measure(self, pixels: Pixels, colour: float = 0.0) -> Measures:
        """The measures of a preprocessed image, uint8 [height, width, channels]; `colour` is `colour_of` its file."""
        flat, contrast = _unit(_thumbnail(pixels)[None])
        error, distance = self._against(flat)
        upright = flat @ self.upright.astype(np.float64)
        return Measures(colour, float(contrast[0]), float(error[0]), float(distance[0]), float(upright[0]))

    def passes(self, found: Measures) -> bool:
        """Whether all measures are within the limits."""
        limits = self.limits
        return (
            found.colour <= limits.most_colour
            and found.contrast >= limits.least_contrast
            and found.error <= limits.most_error
            and found.distance <= limits.most_distance
            and found.upright >= limits.least_upright
        )

    def to_json(self) -> dict[str, Any]:
        """What page.json has of it: arrays as base64 of little-endian float32."""
        arrays = {name: _base64(getattr(self, name)) for name in ("mean", "directions", "deviations", "upright")}
        return {"size": SIZE, "components": len(self.deviations), **arrays, **asdict(self.limits)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        mean, directions, deviations, upright = (
            np.frombuffer(base64.b64decode(value[name]), "<f4")
            for name in ("mean", "directions", "deviations", "upright")
        )
        limits = Limits(**{name: value[name] for name in Limits.__dataclass_fields__})
        return cls(mean, directions.reshape(len(deviations), -1), deviations, upright, limits)

    def _against(self, units: Values) -> tuple[Values, Values]:
        centred = units - self.mean.astype(np.float64)
        along = centred @ self.directions.astype(np.float64).T
        left = centred - along @ self.directions.astype(np.float64)
        error = np.sqrt((left**2).sum(axis=1))
        return error, np.sqrt(((along / self.deviations.astype(np.float64)) ** 2).mean(axis=1))


def fit_gate(pixels: Pixels) -> Gate | None:
    """Fit the check to the training images, uint8 [N, height, width, channels] as the model sees them.

    The limits come from images that the check under measure has not seen (5 folds). None for fewer than 100 images.
    """
    if len(pixels) < FEWEST_IMAGES:
        return None
    step = -(-len(pixels) // MOST_IMAGES)
    thumbnails = np.stack([_thumbnail(image) for image in pixels[::step]])
    units, contrasts = _unit(thumbnails)
    measured = [_measured_apart(units, kept, held) for kept, held in _folds(len(units))]
    errors, distances, uprights = (np.concatenate(parts) for parts in zip(*measured, strict=True))
    lowest, middle = np.percentile(uprights, [100 - INSIDE_PERCENT, 50])
    limits = Limits(
        most_colour=MOST_COLOUR,
        least_contrast=_rounded(np.percentile(contrasts, 100 - INSIDE_PERCENT) / 2),
        most_error=_rounded(np.percentile(errors, INSIDE_PERCENT) * (1 + MARGIN)),
        most_distance=_rounded(np.percentile(distances, INSIDE_PERCENT) * (1 + MARGIN)),
        least_upright=_rounded(lowest - MARGIN * (middle - lowest)),
    )
    return _fitted(units, limits)


def colour_of(image: Pixels) -> float:
    """Mean over the pixels of a decoded file, uint8 [height, width, 3], of the largest minus the smallest channel."""
    return float(np.mean(image.max(axis=-1).astype(np.int16) - image.min(axis=-1)))


NO_LIMITS = Limits(np.inf, -np.inf, np.inf, np.inf, -np.inf)


def _measured_apart(units: Values, kept: npt.NDArray[np.bool_], held: npt.NDArray[np.bool_]) -> tuple[Values, ...]:
    gate = _fitted(units[kept], NO_LIMITS)
    error, distance = gate._against(units[held])
    return error, distance, units[held] @ gate.upright.astype(np.float64)


def _fitted(units: Values, limits: Limits) -> Gate:
    mean = units.mean(axis=0)
    _, scales, directions = np.linalg.svd(units - mean, full_matrices=False)
    count = min(COMPONENTS, len(units) // 4)
    deviations = scales[:count] / np.sqrt(len(units))
    return Gate(
        mean=mean.astype(np.float32),
        directions=directions[:count].astype(np.float32),
        deviations=np.maximum(deviations, 1e-6).astype(np.float32),
        upright=_discriminant(units).astype(np.float32),
        limits=limits,
    )


def _discriminant(units: Values) -> Values:
    """The direction, of length 1, from thumbnails that are turned round to those that are not."""
    turned = np.concatenate(list(_turned(units.reshape(-1, SIZE, SIZE)))).reshape(-1, SIZE * SIZE)
    within = (np.cov(units.T) + np.cov(turned.T)) / 2
    within += RIDGE * np.trace(within) / len(within) * np.eye(len(within))
    direction = np.linalg.solve(within, units.mean(axis=0) - turned.mean(axis=0))
    return np.asarray(direction / np.linalg.norm(direction), dtype=np.float64)


def _turned(images: Values) -> Iterator[Values]:
    yield images[:, ::-1]
    yield images[:, ::-1, ::-1]


def _folds(count: int) -> Iterator[tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]]:
    fold = np.arange(count) % FOLDS
    for number in range(FOLDS):
        yield fold != number, fold == number


def _thumbnail(pixels: Pixels) -> Values:
    """The grey picture, resized as the contract resizes: float64 [256], 0..255."""
    plane = pixels[..., 0] if pixels.shape[-1] == 1 else _luma(pixels)
    return resize(plane.astype(np.float32), Preprocessing(SIZE, SIZE, 1)).astype(np.float64).ravel()


def _luma(pixels: Pixels) -> Pixels:
    red, green, blue = (pixels[..., channel].astype(np.int64) for channel in range(3))
    return np.asarray((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16, dtype=np.uint8)


def _unit(thumbnails: Values) -> tuple[Values, Values]:
    """Thumbnails [N, 256] without their mean and of length 1, and their standard deviations [N]."""
    centred = thumbnails - thumbnails.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    return centred / np.where(lengths > 0, lengths, 1), lengths[:, 0] / SIZE


def _rounded(value: float) -> float:
    return float(np.round(value, 4))


def _base64(array: Stored) -> str:
    return base64.b64encode(np.ascontiguousarray(array, dtype="<f4").tobytes()).decode()
