"""Small real image files for the tests: each drawn from a seed, so that different seeds give different bytes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int = 0, *, format: str = "JPEG", size: tuple[int, int] = (24, 20)) -> bytes:
    """The bytes of a grey image of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, size=size[::-1], dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format=format)
    return stream.getvalue()


def put(folder: Path, relative: str, data: bytes) -> Path:
    """Write one file below `folder`."""
    path = folder / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def make_folder(folder: Path, names: list[str]) -> Path:
    """A folder with one small picture under each name, all different."""
    for seed, name in enumerate(names):
        put(folder, name, picture(seed, format="PNG" if name.endswith(".png") else "JPEG"))
    return folder
