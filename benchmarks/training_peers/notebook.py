"""The notebooks' own code, as it runs under Keras 3: their image generator with augmentation, and their five-block net.

Source: the widely copied Kaggle notebook for this dataset (`ImageDataGenerator`, 150x150 grey, batches of 32).
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cxr.local_baseline.tensorflow_setup import load
from cxr.manifests.sample import draw_sample

SIDE = 150
BATCH = 32
ORIGINALS = Path(__file__).resolve().parents[3] / "shared" / "data" / "originals"


def folder_of_originals(folder: Path, images: int, note: Callable[[str], None]) -> Path:
    """`images` unresized X-rays in `folder/train/LABEL`: the 110 originals over and over, or a drawn sample where they
    are not at hand (which is noted)."""
    source = ORIGINALS
    if not source.is_dir():
        note("the unresized originals are not here: drawn images instead")
        source = folder / "drawn"
        draw_sample(source, images=110, seed=7)
    originals = sorted(path for path in source.rglob("*") if path.suffix.lower() in {".jpeg", ".jpg", ".png"})
    random.Random(7).shuffle(originals)
    for number in range(images):
        original = originals[number % len(originals)]
        target = folder / "images" / "train" / original.parent.name / f"{number:05d}{original.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(original, target)
    return folder / "images"


def generator(folder: Path) -> Any:
    """The notebook's training generator over `folder/LABEL`: scaled, zoomed, flipped."""
    load()
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    changes = ImageDataGenerator(rescale=1.0 / 255, zoom_range=0.1, horizontal_flip=True)
    return changes.flow_from_directory(
        folder, target_size=(SIDE, SIDE), color_mode="grayscale", class_mode="binary", batch_size=BATCH, seed=7
    )


def five_block_net() -> Any:
    """The notebook's net: Keras's defaults everywhere."""
    layers = load().keras.layers
    net = load().keras.Sequential([load().keras.Input((SIDE, SIDE, 1))])
    for filters, dropout in ((32, 0.0), (64, 0.1), (64, 0.0), (128, 0.2), (256, 0.2)):
        net.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        if dropout:
            net.add(layers.Dropout(dropout))
        net.add(layers.BatchNormalization())
        net.add(layers.MaxPool2D(2, strides=2, padding="same"))
    for layer in (layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dropout(0.2)):
        net.add(layer)
    net.add(layers.Dense(1, activation="sigmoid"))
    return net
