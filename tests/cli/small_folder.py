"""A folder in the Kaggle layout that a net can learn in a moment: dark images are normal, bright ones are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

COUNTS = {"train": 12, "val": 2, "test": 6}


def draw_kaggle_folder(folder: Path, counts: dict[str, int] | None = None) -> None:
    """`counts` images of each label in every split, each of a patient of its own, under the release's names."""
    number = 0
    for split, count in (counts or COUNTS).items():
        for label, level in (("NORMAL", 60), ("PNEUMONIA", 190)):
            for _ in range(count):
                number += 1
                name = f"IM-{number:04d}-0001.jpeg" if label == "NORMAL" else f"person{number}_bacteria_{number}.jpeg"
                path = folder / split / label / name
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = np.random.default_rng(number).normal(level, 30, (60, 70))
                Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)
