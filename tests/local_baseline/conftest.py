"""Small synthetic data sets that a net can learn in a moment, and one trained bundle that many tests look at."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxr.bundle import Bundle
from cxr.local_baseline.request import TrainRequest
from cxr.local_baseline.train import train
from cxr.manifests.manifest import COLUMNS, Manifest, ManifestHeader, new_manifest
from cxr.manifests.manifest_file import write_manifest

MakeManifest = Callable[..., Manifest]
#: Images of each label in train, validation and test.
COUNTS = {"train": 12, "validation": 4, "test": 4}


def draw_image(path: Path, *, sick: bool, seed: int, size: tuple[int, int] = (96, 80)) -> None:
    """A dark noisy rectangle; a bright blob on one side when `sick`."""
    rng = np.random.default_rng(seed)
    pixels = rng.normal(70, 12, (size[1], size[0]))
    if sick:
        y, x = np.mgrid[: size[1], : size[0]]
        centre = rng.uniform(0.35, 0.65, 2) * (size[1], size[0])
        pixels += 120 * np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / (2 * 14**2))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path, quality=90)


@pytest.fixture(scope="session")
def make_manifest() -> MakeManifest:
    """Draws images into a folder and writes their manifest beside them: `make_manifest(folder, labels=…, counts=…)`."""

    def make(
        folder: Path, *, labels: tuple[str, ...] = ("NORMAL", "PNEUMONIA"), counts: dict[str, int] | None = None
    ) -> Manifest:
        rows = []
        for split, count in (counts or COUNTS).items():
            for label in labels:
                for number in range(count):
                    name = f"{split}/{label}/{label}-{number}.jpeg"
                    seed = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)
                    draw_image(folder / name, sick=label == labels[-1], seed=seed)
                    rows.append(_row(folder, name, label, split))
        frame = pd.DataFrame(rows, columns=list(COLUMNS))
        location = folder / "manifest.csv"
        return write_manifest(new_manifest(frame, ManifestHeader(root="."), location), location)

    return make


@pytest.fixture(scope="session")
def small_manifest(make_manifest: MakeManifest, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Two labels, 40 images, all three splits."""
    return make_manifest(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache of decoded images for all tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def small_request(small_manifest: Manifest, cache_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainRequest:
    """One epoch of cnn5."""
    output = tmp_path_factory.mktemp("runs") / "cnn5"
    return TrainRequest(small_manifest, str(small_manifest.root), "cnn5", output, cache_dir, epochs=1, name="cnn5")


@pytest.fixture(scope="session")
def small_bundle(small_request: TrainRequest) -> Bundle:
    """The bundle of `small_request`."""
    return train(small_request, lambda done, total, note: None)


def _row(folder: Path, name: str, label: str, split: str) -> dict[str, object]:
    data = (folder / name).read_bytes()
    return {
        "path": name,
        "label": label,
        "etiology": "",
        "patient": name,
        "split": split,
        "width": 96,
        "height": 80,
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "crc32c": "",
        "duplicate_group": "",
    }
