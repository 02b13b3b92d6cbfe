"""From attenuation to a grey JPEG: scatter, film curve, noise, marker, compression; none of it depends on the label."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from cxr.manifests.sample.canvas import Plane, noise

#: Stands in every file, so that a drawn image can never be taken for a real one.
COMMENT: Final = b"SYNTHETIC: drawn by cxr data sample, not a radiograph of anyone"


def develop(attenuation: Plane, rng: np.random.Generator) -> bytes:
    """Expose, add noise and a side marker, and compress: the bytes of a grey JPEG."""
    shape = (attenuation.shape[0], attenuation.shape[1])
    scatter = attenuation + 0.045 * noise(rng, shape, shape[0] / 2)
    low, high = float(rng.uniform(-0.06, 0.12)), float(rng.uniform(1.18, 1.42))
    grey = np.clip((scatter - low) / (high - low), 0, 1) ** float(rng.uniform(0.75, 1.15))
    image = Image.fromarray((grey * 255).astype(np.uint8))
    image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.35, 0.75))))
    grey = np.asarray(image, dtype=np.float32)
    # Quantum noise is strongest where least light got through; grain is a little coarser than a pixel.
    grain = rng.standard_normal(shape, dtype=np.float32) + 0.6 * noise(rng, shape, 2.0)
    grey = grey + float(rng.uniform(0.8, 4.2)) * grain * (0.35 + grey / 255)
    pixels = np.clip(grey, 0, 255).astype(np.uint8)
    return _jpeg(_with_marker(pixels, rng), quality=int(rng.integers(78, 96)))


def _with_marker(pixels: npt.NDArray[np.uint8], rng: np.random.Generator) -> Image.Image:
    """An R on the patient's right (the image's left) on most films."""
    image = Image.fromarray(pixels)
    if rng.random() < 0.25:
        return image
    tall = float(rng.uniform(0.045, 0.08)) * image.height
    left, top = float(rng.uniform(0.015, 0.06)) * image.width, float(rng.uniform(0.05, 0.35)) * image.height
    wide, middle = 0.6 * tall, top + 0.5 * tall
    strokes = [(left, top + tall), (left, top), (left + wide, top), (left + wide, middle), (left, middle)]
    pen = ImageDraw.Draw(image)
    pen.line(strokes, fill=235, width=max(1, round(tall / 8)))
    pen.line([(left + 0.3 * wide, middle), (left + wide, top + tall)], fill=235, width=max(1, round(tall / 8)))
    return image


def _jpeg(image: Image.Image, *, quality: int) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=quality, comment=COMMENT)
    return stream.getvalue()
