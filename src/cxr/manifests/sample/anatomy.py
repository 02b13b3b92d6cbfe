"""A healthy chest as attenuation: body, lungs, heart, spine, ribs, clavicles, vessels, abdomen.

All planes are float32 [H, W] of attenuation in arbitrary units (1 is about the mediastinum); more is brighter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from cxr.manifests.sample.canvas import Canvas, Plane, bump, capsule, noise, ridges, step


@dataclass(frozen=True, slots=True)
class Build:
    """One patient's anatomy, in body units."""

    chest: float
    apex: float
    base: float
    dome: float
    heart: float
    heart_shift: float
    ribs: int
    rib_tilt: float
    arms_up: bool
    vessels: float


@dataclass(frozen=True, slots=True)
class Chest:
    """The drawn chest: its attenuation, and where the two lungs are (0..1), for disease to be put in."""

    attenuation: Plane
    lungs: Plane


def make_build(rng: np.random.Generator) -> Build:
    """A random patient."""
    return Build(
        chest=float(rng.uniform(0.60, 0.74)),
        apex=float(rng.uniform(-0.74, -0.66)),
        base=float(rng.uniform(0.44, 0.60)),
        dome=float(rng.uniform(0.16, 0.26)),
        heart=float(rng.uniform(0.26, 0.34)),
        heart_shift=float(rng.uniform(0.06, 0.14)),
        ribs=int(rng.integers(9, 11)),
        rib_tilt=float(rng.uniform(0.17, 0.27)),
        arms_up=bool(rng.random() < 0.5),
        vessels=float(rng.uniform(0.5, 1.0)),
    )


def draw_chest(canvas: Canvas, build: Build, rng: np.random.Generator) -> Chest:
    """The attenuation of a healthy chest in this pose; `rng` varies what differs from exposure to exposure."""
    lungs = _lungs(canvas, build)
    heart = _heart(canvas, build)
    air = lungs * (1 - 0.72 * heart)
    body, torso = _soft_tissue(canvas, build)
    attenuation = body - 0.60 * air * np.sqrt(np.maximum(torso, 0))
    attenuation += 0.16 * heart + _mediastinum(canvas, build, rng) * step(body - 0.1, 0.05)
    attenuation += _below_diaphragm(canvas, build, rng)
    attenuation += _ribs(canvas, build) + _shoulder_girdle(canvas, build)
    attenuation += 0.17 * build.vessels * _vessels(canvas, rng) * np.maximum(air, 0.25 * lungs)
    attenuation += 0.02 * ridges(rng, _shape(canvas), 0.045 * canvas.unit) * air
    return Chest(attenuation.astype(np.float32), air)


def _shape(canvas: Canvas) -> tuple[int, int]:
    return canvas.x.shape[0], canvas.x.shape[1]


def _chest_width(y: Plane | float, build: Build) -> Plane:
    """Half-width of the rib cage at height y: a dome that widens downwards and turns in a little below."""
    down = np.clip((np.asarray(y, dtype=np.float32) - build.apex) / (build.base + 0.25 - build.apex), 0.0, 1.3)
    return np.asarray(
        build.chest * np.power(np.clip(1 - np.power(np.abs(1 - down), 2.6), 0, 1), 0.52), dtype=np.float32
    )


def _lungs(canvas: Canvas, build: Build) -> Plane:
    width = _chest_width(canvas.y, build)
    side = np.sign(canvas.x)
    across = np.abs(canvas.x) / np.float32(build.chest)
    # The liver lifts the right dome (on the image's left) a little.
    dome = (
        build.base
        - build.dome * np.sqrt(np.clip(1 - np.square((across - 0.42) / 0.66), 0, 1))
        + np.where(side < 0, 0.0, 0.05)
    )
    medial = 0.105 + 0.05 * bump(canvas.y - 0.0, 0.3) + np.where(side > 0, 0.02, 0.0)
    inside = step(width - np.abs(canvas.x), 0.018) * step(np.abs(canvas.x) - medial, 0.02)
    depth = np.sqrt(np.clip((width - np.abs(canvas.x)) / (width + 1e-3), 0, 1)) * 0.35 + 0.65
    return np.asarray(inside * step(dome.astype(np.float32) - canvas.y, 0.014) * depth, dtype=np.float32)


def _heart(canvas: Canvas, build: Build) -> Plane:
    x, y = canvas.x - build.heart_shift, canvas.y - (build.base - 0.33)
    along, across = 0.86 * x + 0.5 * y, -0.5 * x + 0.86 * y
    ventricles = np.hypot(along / (build.heart * 1.12), across / (build.heart * 0.86))
    vessels = np.hypot((canvas.x - 0.04) / (build.heart * 0.5), (canvas.y + 0.12) / 0.34)
    both = np.minimum(ventricles, vessels)
    return step((1 - both).astype(np.float32), 0.07)


def _soft_tissue(canvas: Canvas, build: Build) -> tuple[Plane, Plane]:
    x, y = canvas.x, canvas.y
    shoulders = step(y - (build.apex - 0.10) - 0.25 * np.square(x), 0.05)
    width = 0.20 + (build.chest + 0.07) * shoulders
    torso = np.sqrt(np.clip(1 - np.power(np.abs(x) / width, 4), 0, 1)).astype(np.float32)
    body = 0.80 * torso
    rise = -0.45 if build.arms_up else 0.30
    for side in (-1.0, 1.0):
        shoulder = (side * (build.chest - 0.02), build.apex + 0.20)
        hand = (side * (build.chest + 0.75), build.apex + 0.20 + rise)
        arm = capsule(canvas, shoulder, hand)
        body = np.maximum(body, 0.50 * np.sqrt(np.clip(1 - np.square(arm / 0.17), 0, 1)).astype(np.float32))
        body += 0.30 * step(0.05 - arm, 0.012) * step(np.abs(x) - build.chest - 0.06, 0.02)
    head = np.hypot(x / 0.40, (y - build.apex + 0.52) / 0.36)
    body += 0.45 * step((1 - head).astype(np.float32), 0.05)
    return body.astype(np.float32), torso


def _mediastinum(canvas: Canvas, build: Build, rng: np.random.Generator) -> Plane:
    x, y = canvas.x, canvas.y
    phase = float(rng.uniform(0, 2 * np.pi))
    vertebrae = 0.5 + 0.5 * np.cos(2 * np.pi * y / 0.118 + phase)
    spine = step(0.07 - np.abs(x), 0.014) * (0.09 + 0.07 * np.power(vertebrae, 0.6))
    edges = (bump(np.abs(x) - 0.066, 0.012) + bump(np.abs(x) - 0.035, 0.012)) * 0.06 * vertebrae
    upper = 0.10 * step(0.12 - np.abs(x - 0.01), 0.03) * step(0.25 - y, 0.1)
    trachea = 0.20 * bump(x - 0.012, 0.035) * step(-0.30 - y, 0.04) * step(y - build.apex + 0.25, 0.1)
    lower = 0.06 * step(y - build.base + 0.1, 0.1)
    return np.asarray(spine + edges + upper - trachea + lower * step(0.1 - np.abs(x), 0.03), dtype=np.float32)


def _below_diaphragm(canvas: Canvas, build: Build, rng: np.random.Generator) -> Plane:
    abdomen = 0.16 * step(canvas.y - build.base - 0.02, 0.08) * step(build.chest - np.abs(canvas.x), 0.04)
    center = (float(rng.uniform(0.2, 0.4)), build.base + float(rng.uniform(0.1, 0.3)))
    radius = float(rng.uniform(0.07, 0.17))
    shape = np.hypot((canvas.x - center[0]) / 1.6, canvas.y - center[1]).astype(np.float32)
    bubble = step(radius - shape + 0.03 * noise(rng, _shape(canvas), 0.12 * canvas.unit), 0.02)
    return np.asarray(abdomen - float(rng.uniform(0.05, 0.3)) * bubble, dtype=np.float32)


def _ribs(canvas: Canvas, build: Build) -> Plane:
    """Each pair of ribs is a tilted hoop: from the front an ellipse, its back above, its fainter front below."""
    total = np.zeros_like(canvas.x)
    spacing = (build.base + 0.22 - build.apex) / build.ribs
    thickness = spacing * 0.19
    for index in range(build.ribs + 1):
        center = build.apex + 0.09 + spacing * index
        width = float(_chest_width(center + 0.04, build)) + 0.025
        if width < 0.2:
            continue
        tilt = build.rib_tilt * (0.55 + 0.65 * index / build.ribs)
        u, v = canvas.x / np.float32(width), (canvas.y - np.float32(center)) / np.float32(tilt)
        radius = np.sqrt(u * u + v * v) + 1e-4
        slope = np.sqrt(np.square(u / width) + np.square(v / tilt)) / radius + 1e-4
        distance = (radius - 1) / slope
        front = canvas.y > center
        plate = step(thickness - np.abs(distance), 0.006)
        cortex = bump(np.abs(distance) - thickness, 0.008)
        # The bone meets the rays edgewise at the side of the chest, so it is brightest there.
        edgewise = 0.75 + 0.9 * np.power(np.clip(np.abs(u), 0, 1), 6)
        weight = np.where(
            front, 0.55 * step(np.abs(canvas.x) - 0.42 * width, 0.06), step(np.abs(canvas.x) - 0.05, 0.02)
        )
        total += (0.095 * plate + 0.065 * cortex) * weight * edgewise
    # Below the diaphragm the soft tissue drowns the bones.
    return np.asarray(total * (1 - 0.6 * step(canvas.y - build.base + 0.05, 0.1)), dtype=np.float32)


def _shoulder_girdle(canvas: Canvas, build: Build) -> Plane:
    total = np.zeros_like(canvas.x)
    for side in (-1.0, 1.0):
        inner = (side * 0.10, build.apex + 0.15)
        middle = (side * 0.40, build.apex + 0.05)
        outer = (side * (build.chest + 0.02), build.apex + 0.03)
        clavicle = np.minimum(capsule(canvas, inner, middle), capsule(canvas, middle, outer))
        total += 0.15 * step(0.026 - clavicle, 0.008) + 0.07 * bump(clavicle - 0.026, 0.008)
        blade = capsule(canvas, (side * (build.chest + 0.02), build.apex + 0.12), (side * (build.chest - 0.08), -0.12))
        total += 0.09 * step(0.05 - blade, 0.02)
    return total


def _vessels(canvas: Canvas, rng: np.random.Generator) -> Plane:
    """Branching lines from both hila, 0..1."""
    scale = 2
    width, height = canvas.size
    image = Image.new("L", (width * scale, height * scale))
    pen = ImageDraw.Draw(image)
    for side in (-1.0, 1.0):
        hilum = canvas.to_pixels(side * 0.13, -0.02)
        start = (hilum[0] * scale, hilum[1] * scale)
        for direction in np.linspace(-1.25, 1.25, 8) + rng.normal(0, 0.12, 8):
            heading = float(direction) if side > 0 else float(np.pi - direction)
            _branch(pen, rng, start, heading, 0.026 * canvas.unit * scale, 0.13 * canvas.unit * scale, 5)
    soft = image.filter(ImageFilter.GaussianBlur(scale * 0.7)).resize((width, height), Image.Resampling.BOX)
    return np.asarray(soft, dtype=np.float32) / np.float32(255)


def _branch(
    pen: ImageDraw.ImageDraw,
    rng: np.random.Generator,
    start: tuple[float, float],
    heading: float,
    thickness: float,
    length: float,
    depth: int,
) -> None:
    first, second, *spreads = rng.normal(0, 0.15, 4).tolist()
    for bend in (first, second):
        heading += bend
        end = (start[0] + math.cos(heading) * length / 2, start[1] + math.sin(heading) * length / 2)
        pen.line([start, end], fill=min(max(int(90 + 16 * thickness), 60), 255), width=max(1, round(thickness)))
        start = end
    if depth == 0:
        return
    for turn, spread in zip((-0.35, 0.35), spreads, strict=True):
        if rng.random() < 0.86:
            _branch(pen, rng, start, heading + turn + spread, thickness * 0.68, length * 0.78, depth - 1)
