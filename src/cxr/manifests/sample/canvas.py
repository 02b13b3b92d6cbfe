"""The plane a radiograph is drawn on: body coordinates of every pixel, smooth noise, and soft shapes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

#: float32 [H, W]. (numpy's stubs make float64 of np.power and np.square, so the type says less than it could.)
Plane: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Canvas:
    """Body coordinates of each pixel, float32 [H, W]: x to the image's right and y down, the thorax within about ±0.8;
    `unit` is pixels per body unit."""

    x: Plane
    y: Plane
    unit: float

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, as Pillow wants them."""
        return self.x.shape[1], self.x.shape[0]

    def to_pixels(self, x: float, y: float) -> tuple[float, float]:
        """The pixel nearest to a point in body coordinates (the pose is nearly upright, so a step or two suffices)."""
        width, height = self.size
        column, row = width / 2, height / 2
        for _ in range(2):
            i, j = min(max(int(row), 0), height - 1), min(max(int(column), 0), width - 1)
            column += (x - self.x.item(i, j)) * self.unit
            row += (y - self.y.item(i, j)) * self.unit
        return column, row


def make_canvas(width: int, height: int, rng: np.random.Generator) -> Canvas:
    """A canvas with a random pose: shift, rotation, zoom and a slight smooth warp."""
    unit = height / float(rng.uniform(1.42, 1.78))
    row, column = np.mgrid[0:height, 0:width].astype(np.float32)
    x = (column - width / 2) / unit + np.float32(rng.uniform(-0.08, 0.08))
    y = (row - height / 2) / unit + np.float32(rng.uniform(-0.16, 0.02))
    angle = np.float32(np.deg2rad(rng.normal(0, 2.2)))
    turned_x = np.cos(angle) * x - np.sin(angle) * y
    turned_y = np.sin(angle) * x + np.cos(angle) * y
    warp = 0.018
    return Canvas(
        turned_x + warp * noise(rng, (height, width), height / 2.5),
        turned_y + warp * noise(rng, (height, width), height / 2.5),
        unit,
    )


def noise(rng: np.random.Generator, shape: tuple[int, int], grain_px: float) -> Plane:
    """Smooth noise, float32 [H, W], mean about 0, standard deviation about 1, structures of `grain_px` pixels."""
    height, width = shape
    grid = (max(2, round(height / grain_px) + 2), max(2, round(width / grain_px) + 2))
    coarse = Image.fromarray(rng.standard_normal(grid, dtype=np.float32))
    fine = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)
    return fine * np.float32(1.35)


def ridges(rng: np.random.Generator, shape: tuple[int, int], grain_px: float) -> Plane:
    """A net of thin bright lines (where smooth noise crosses zero), float32 [H, W] in 0..1."""
    sharpness = np.float32(2.2)
    return np.exp(-np.square(noise(rng, shape, grain_px) * sharpness)).astype(np.float32)


def step(distance: Plane, softness: float) -> Plane:
    """A soft step, 0..1, up where `distance` is positive; `softness` in the same units."""
    return np.asarray(0.5 + 0.5 * np.tanh(distance / np.float32(softness)), dtype=np.float32)


def bump(distance: Plane, width: float) -> Plane:
    """A bell of height 1 around distance 0."""
    return np.exp(-np.square(distance / np.float32(width))).astype(np.float32)


def capsule(canvas: Canvas, start: tuple[float, float], end: tuple[float, float]) -> Plane:
    """The distance of every pixel from a segment, in body units."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    along = np.clip(((canvas.x - start[0]) * dx + (canvas.y - start[1]) * dy) / (dx * dx + dy * dy), 0, 1)
    return np.hypot(canvas.x - start[0] - along * dx, canvas.y - start[1] - along * dy).astype(np.float32)
