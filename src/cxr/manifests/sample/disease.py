"""What pneumonia adds to a chest: focal consolidation (bacterial) or a diffuse interstitial pattern (viral), and what
looks like it but is not.

Part of the brightness that findings add to the lungs is taken off again, and healthy chests get smooth shadows of the
same size and density, so that the label lies mostly in the texture and not in what a thumbnail or a byte count tells.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from cxr.manifests.sample.canvas import Canvas, Plane, bump, noise, ridges, step
from cxr.manifests.sample.cast import Kind


def add_findings(attenuation: Plane, lungs: Plane, canvas: Canvas, kind: Kind, rng: np.random.Generator) -> Plane:
    """The attenuation [H, W] with this kind's findings and with harmless shadows."""
    severity = float(rng.uniform(0.75, 1.3))
    added = np.zeros_like(attenuation)
    if kind == "bacterial":
        for _ in range(1 if rng.random() < 0.6 else 2):
            added += severity * _consolidation(canvas, rng)
    if kind == "viral":
        added += severity * _interstitial(canvas, rng)
    # Harmless shadows: folds of skin, muscle, a slight turn of the patient.
    shadows = {"normal": (0, 2), "bacterial": (0, 1), "viral": (0, 1)}[kind]
    for _ in range(int(rng.integers(shadows[0], shadows[1] + 1))):
        added += float(rng.uniform(0.04, 0.17)) * _patch(canvas, rng)
    added += 0.03 * float(rng.uniform(0, 1)) * ridges(rng, _shape(canvas), 0.06 * canvas.unit)
    added *= lungs
    mean = float(added.sum() / (lungs.sum() + 1e-6))
    return np.asarray(attenuation + added - (0.05 * mean) * lungs, dtype=np.float32)


def _shape(canvas: Canvas) -> tuple[int, int]:
    return canvas.x.shape[0], canvas.x.shape[1]


def _patch(canvas: Canvas, rng: np.random.Generator) -> Plane:
    """A soft-edged irregular patch somewhere in a lung, 0..1."""
    side = float(rng.choice([-1.0, 1.0]))
    center = (side * float(rng.uniform(0.22, 0.48)), float(rng.uniform(-0.40, 0.32)))
    radii = (float(rng.uniform(0.14, 0.26)), float(rng.uniform(0.13, 0.26)))
    distance = np.hypot((canvas.x - center[0]) / radii[0], (canvas.y - center[1]) / radii[1])
    ragged = distance + 0.22 * noise(rng, _shape(canvas), 0.14 * canvas.unit)
    return step((1 - ragged).astype(np.float32), 0.42)


def _consolidation(canvas: Canvas, rng: np.random.Generator) -> Plane:
    """An opacity of filled air spaces: mottled, with the dark branches of the bronchi that still hold air."""
    patch = _patch(canvas, rng)
    mottle = noise(rng, _shape(canvas), 0.045 * canvas.unit) + 0.6 * noise(rng, _shape(canvas), 0.02 * canvas.unit)
    density = 0.48 * patch + 0.085 * patch * mottle
    return np.asarray(density - 0.27 * patch * _bronchi(canvas, rng), dtype=np.float32)


def _interstitial(canvas: Canvas, rng: np.random.Generator) -> Plane:
    """Lines and rings through both lungs, densest about the hila."""
    shape = _shape(canvas)
    near = 0.45 + 0.75 * bump(np.abs(canvas.x) - 0.26, 0.24) * bump(canvas.y - 0.02, 0.42)
    patchy = np.clip(0.8 + 0.35 * noise(rng, shape, 0.25 * canvas.unit), 0.2, 1.4)
    mesh = sum(0.6 * ridges(rng, shape, grain * canvas.unit) for grain in (0.032, 0.05, 0.075))
    return np.asarray((0.20 * mesh + 0.09) * near * patchy, dtype=np.float32)


def _bronchi(canvas: Canvas, rng: np.random.Generator) -> Plane:
    """Tapering branches from both hila outwards, 0..1."""
    image = Image.new("L", canvas.size)
    pen = ImageDraw.Draw(image)
    for side in (-1.0, 1.0):
        for angle in np.linspace(-1.2, 1.2, 7) + rng.normal(0, 0.10, 7):
            x, y = side * 0.12, -0.02
            heading = float(angle)
            for piece, bend in enumerate(rng.normal(0, 0.16, 9).tolist()):
                heading += bend
                far_x, far_y = x + side * 0.07 * math.cos(heading), y + 0.07 * math.sin(heading)
                thickness = max(2, round(canvas.unit * (0.021 - 0.0012 * piece)))
                pen.line([canvas.to_pixels(x, y), canvas.to_pixels(far_x, far_y)], fill=255, width=thickness)
                x, y = far_x, far_y
    soft = image.filter(ImageFilter.GaussianBlur(0.8))
    return np.asarray(soft, dtype=np.float32) / np.float32(255)
