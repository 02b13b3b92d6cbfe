"""Bundles for tests: a `bundle.json` with everything it needs, of which a test says only what it is about."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from cxr.bundle import Bundle, BundleInfo, ModelFormat, Origin, Preprocessing, Threshold, write_bundle

CLASSES = ("NORMAL", "PNEUMONIA")
_INFO = BundleInfo(
    name="tiny",
    origin=Origin.BASELINE,
    format=ModelFormat.KERAS,
    model_path="model.keras",
    classes=CLASSES,
    positive_class="PNEUMONIA",
    preprocessing=Preprocessing(32, 32, 1),
    threshold=Threshold(0.5, "max-youden", "validation"),
    manifest_hash="a" * 64,
)


def model_info(**changes: Any) -> BundleInfo:
    """What is said of a Keras model of two classes, trained here, that takes 32x32 grey pixels; with `changes` of
    fields of BundleInfo."""
    return replace(_INFO, **changes)


def keras_bundle(model: Any, folder: Path, **changes: Any) -> Bundle:
    """The bundle of a Keras model in a new folder, by the folder's name, whose input is the model's."""
    folder.mkdir(parents=True)
    height, width, channels = model.input_shape[1:]
    info = model_info(**{"name": folder.name, "preprocessing": Preprocessing(height, width, channels), **changes})
    model.save(folder / info.model_path)
    return write_bundle(folder, info)
