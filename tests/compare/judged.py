"""A small world to be judged: drawn images, a manifest, and real bundles of real (tiny, hand-set) models.

The positive images carry a bright blot, and the models measure brightness, so that they are good but not perfect.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from cxr.bundle import Bundle, BundleInfo, ModelFormat, Origin, Preprocessing, Threshold, write_bundle
from cxr.compare.nouns import Draws, Row
from cxr.compare.predictions.bundle import Answers, write_answers
from cxr.compare.predictions.table import Predictions
from cxr.compare.rows import model_row
from cxr.compare.statistics.measures import measured_together, scored
from cxr.local_baseline.tensorflow_setup import load
from cxr.manifests.manifest import Manifest, ManifestHeader, SplitPolicy, new_manifest
from cxr.manifests.manifest_file import read_manifest, write_manifest
from cxr.manifests.tasks import view_for

CLASSES = ("NORMAL", "PNEUMONIA")
THREE_CLASSES = ("NORMAL", "BACTERIAL", "VIRAL")
SIDE = 24
GREY = Preprocessing(height=SIDE, width=SIDE, channels=1)
#: The service's contract in small: RGB, centre crop, scaled by whoever feeds the model.
EDGE = Preprocessing(
    height=SIDE, width=SIDE, channels=3, aspect="center-crop", scale=1 / 127.5, offset=-1.0, scale_inside_model=False
)


@dataclass(frozen=True)
class World:
    """Folder, manifest and bundles."""

    folder: Path
    manifest_path: Path
    manifest: Manifest
    keras: Bundle
    saved_model: Bundle
    tflite: Bundle

    @property
    def bundles(self) -> list[Bundle]:
        return [self.keras, self.saved_model, self.tflite]


def make_world(folder: Path) -> World:
    manifest = make_manifest(folder)
    return World(
        folder,
        folder / "manifest.csv",
        manifest,
        keras=keras_bundle(folder / "cnn5", manifest.hash),
        saved_model=saved_model_bundle(folder / "custom", manifest.hash),
        tflite=tflite_bundle(folder / "edge", manifest.hash),
    )


def make_manifest(
    folder: Path, *, test_images: int = 60, train_images: int = 12, seed: int = 5, name: str = "manifest.csv"
) -> Manifest:
    """Images under folder/images/<split>/<label>/, two of each patient, and their manifest."""
    generator = np.random.default_rng(seed)
    rows = []
    for split, count in (("train", train_images), ("validation", 4), ("test", test_images)):
        for index in range(count):
            label = CLASSES[index % 3 > 0]
            path = f"{split}/{label}/{split}-{index:03d}.png"
            rows.append(draw(folder / "images", path, label, generator))
            rows[-1] |= {"split": split, "patient": f"{split}-{label}-{index // 6}"}
    header = ManifestHeader(root="images", split_policy=SplitPolicy("grouped", validation=0.15, seed=7))
    manifest = new_manifest(pd.DataFrame(rows), header, folder / name)
    write_manifest(manifest, folder / name)
    return read_manifest(folder / name)


def make_three_class_view(folder: Path, *, test_images: int = 120) -> Manifest:
    """The same with etiologies (both images of a patient have the same one), as folder/manifest.csv, seen as three
    classes."""
    manifest = make_manifest(folder, test_images=test_images, train_images=24)
    frame = manifest.frame
    kinds = ["viral" if int(path[-7:-4]) // 6 % 2 else "bacterial" for path in frame["path"]]
    named = [kind * (label == "PNEUMONIA") for kind, label in zip(kinds, frame["label"], strict=True)]
    path = folder / "manifest.csv"
    write_manifest(new_manifest(frame.assign(etiology=named), manifest.header, path), path)
    return view_for(read_manifest(path), THREE_CLASSES)


def draw(root: Path, path: str, label: str, generator: np.random.Generator) -> dict[str, object]:
    pixels = generator.normal(90, 12, size=(32, 40)) + generator.normal(0, 4)
    if label == "PNEUMONIA":
        row, column = generator.integers(4, 16, size=2)
        pixels[row : row + 14, column + 4 : column + 18] += generator.uniform(15, 110)
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(target)
    data = target.read_bytes()
    return {
        "path": path,
        "label": label,
        "etiology": "",
        "width": 40,
        "height": 32,
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "crc32c": "AAAAAA==",
        "duplicate_group": "",
    }


def grey_model(*, slope: float = 60.0, middle: float = 0.352, peak: bool = False) -> Any:
    """float32 [N, SIDE, SIDE, 1] in 0..255 -> [N, 1] sigmoid: P(PNEUMONIA) from the mean (or peak) smoothed
    brightness."""
    keras = load().keras
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(1, 3, use_bias=False, padding="same"),
            keras.layers.GlobalMaxPooling2D() if peak else keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    generator = np.random.default_rng(3)
    kernel = np.full((3, 3, 1, 1), 1 / 9) + generator.normal(0, 0.01, (3, 3, 1, 1))
    model.set_weights([kernel, np.array([[slope]]), np.array([-slope * middle])])
    return model


def edge_model() -> Any:
    """float32 [N, SIDE, SIDE, 3] in -1..1 -> [N, 2] softmax in the order of CLASSES."""
    keras = load().keras
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3), batch_size=1),
            keras.layers.AveragePooling2D(SIDE),
            keras.layers.Flatten(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    weights = np.repeat([[-4.0, 4.0]], 3, axis=0)
    model.set_weights([weights, np.array([-3.2, 3.2])])
    return model


def keras_bundle(folder: Path, manifest_hash: str, *, name: str = "cnn5", **changes: Any) -> Bundle:
    folder.mkdir(parents=True)
    model_changes = {key: changes.pop(key) for key in ("slope", "middle") if key in changes}
    grey_model(**model_changes).save(folder / "model.keras")
    fields: dict[str, Any] = {"format": ModelFormat.KERAS, "model_path": "model.keras", "preprocessing": GREY}
    return write(folder, manifest_hash, name=name, **(fields | changes))


def saved_model_bundle(folder: Path, manifest_hash: str) -> Bundle:
    folder.mkdir(parents=True)
    grey_model(slope=25.0, middle=0.48, peak=True).export(str(folder / "saved_model"), verbose=False)
    return write(
        folder,
        manifest_hash,
        name="custom cnn5",
        origin=Origin.CUSTOM_JOB,
        format=ModelFormat.SAVED_MODEL,
        model_path="saved_model",
        preprocessing=GREY,
    )


def tflite_bundle(folder: Path, manifest_hash: str, *, quantised: bool = True) -> Bundle:
    folder.mkdir(parents=True)
    (folder / "model.tflite").write_bytes(tflite_bytes(quantised=quantised))
    return write(
        folder,
        manifest_hash,
        name="automl edge",
        origin=Origin.AUTOML,
        format=ModelFormat.TFLITE,
        model_path="model.tflite",
        preprocessing=EDGE,
        stand_in=True,
    )


def tflite_bytes(*, quantised: bool) -> bytes:
    """The edge model as TFLite: float, or uint8 in and out by post-training quantisation."""
    tf = load().tf
    converter = tf.lite.TFLiteConverter.from_keras_model(edge_model())
    if quantised:
        generator = np.random.default_rng(1)
        samples = [np.full((1, SIDE, SIDE, 3), level, np.float32) for level in (-1.0, 1.0)]
        samples += [generator.uniform(-1, 1, (1, SIDE, SIDE, 3)).astype(np.float32) for _ in range(20)]
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([sample] for sample in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    return bytes(converter.convert())


def scores_bundle(folder: Path, manifest: Manifest, *, name: str, skill: float, seed: int) -> Bundle:
    """Made-up probabilities of all the manifest's classes for its test images: noise, and `skill` for the true one."""
    rows = manifest.split("test")
    truth = np.array([manifest.classes.index(label) for label in rows["label"]])
    scores = np.random.default_rng(seed).normal(size=(len(rows), len(manifest.classes)))
    scores[np.arange(len(rows)), truth] += skill
    odds = np.exp(scores)
    threshold = Threshold(0.5, chosen_by="convention", chosen_on="nothing")
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    answers = Answers(name, Origin.IMPORTED, "test", manifest.classes, probabilities, threshold)
    return write_answers(folder, manifest, answers)


def write(folder: Path, manifest_hash: str, **changes: Any) -> Bundle:
    """bundle.json of a model that lies in `folder`."""
    fields: dict[str, Any] = {
        "origin": Origin.BASELINE,
        "classes": CLASSES,
        "positive_class": "PNEUMONIA",
        "threshold": Threshold(0.5, "sensitivity of at least 95 %", "validation", 0.97, 0.91),
        "manifest_hash": manifest_hash,
        "provenance": {"recipe": "hand-set"},
    }
    return write_bundle(folder, BundleInfo(**(fields | changes)))


def row_of(bundle: Bundle, predictions: Predictions, manifest: Manifest, draws: Draws, *, name: str) -> Row:
    """One bundle's row, judged alone."""
    info, classes = bundle.info, manifest.classes
    cases = scored(predictions.probabilities(classes), manifest, "test", info.positive_class, info.threshold.value)
    return model_row(bundle, predictions, cases, measured_together([cases], draws)[0], name=name)


def quiet(done: int, total: int, note: str) -> None:
    """A progress callback that says nothing."""
    del done, total, note
