"""The trainer as a real process: from a folder, and from a bucket of the local emulator, to a complete bundle."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cxr.bundle import BUNDLE_FILE, ModelFormat, Origin, read_bundle
from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.trainer import fetch_manifest
from cxr.manifests.manifest import Manifest


def run_trainer(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cxr.local_baseline.trainer", *map(str, arguments)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AIP_")}
    return subprocess.run(command, env=clean | environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """An emulator with an empty bucket: its URL, and the bucket's."""
    pytest.importorskip("google.cloud.storage", reason='needs the extra: pip install "cxr[gcp]"')
    pytest.importorskip("httptools", reason='needs the extra: pip install "cxr[gcp]"')
    from cxr.cloud.emulator import process
    from cxr.storage.gcs import gcs_client

    state = tmp_path_factory.mktemp("emulator")
    url = process.ensure_running(state)
    gcs_client(endpoint=url, project=None, workers=4).create_bucket("trainer-tests", location="us-central1")
    yield url, "gs://trainer-tests"
    process.stop(state)


def test_a_folder_is_trained_into_a_complete_saved_model_bundle(
    small_manifest: Manifest, cache_dir: Path, tmp_path: Path
) -> None:
    output = tmp_path / "model"
    ran = run_trainer(
        *("--manifest", small_manifest.location, "--recipe", "edge", "--epochs", 1, "--name", "job-1"),
        *("--cache-dir", cache_dir),
        AIP_MODEL_DIR=f"{output}/",
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    assert "epoch 1/1 loss " in ran.stdout
    assert "val_auc" in ran.stdout
    info = read_bundle(output).info
    assert (info.name, info.origin, info.format) == ("job-1", Origin.CUSTOM_JOB, ModelFormat.SAVED_MODEL)
    assert {"saved_model/saved_model.pb", "training.csv"} <= {file.path for file in info.files}
    assert "serving_default" in load().tf.saved_model.load(str(output / "saved_model")).signatures


def test_a_bucket_is_trained_into_a_bundle_in_the_bucket_once(
    small_manifest: Manifest, bucket: tuple[str, str], tmp_path: Path
) -> None:
    from cxr.storage import open_store

    endpoint, url = bucket
    store = open_store(f"{url}/data", endpoint=endpoint)
    for path in small_manifest.root.rglob("*.*"):
        store.put_file(path.relative_to(small_manifest.root).as_posix(), path)
    arguments = ("--manifest", f"{url}/data/manifest.csv", "--recipe", "edge", "--epochs", 1)
    arguments = (*arguments, "--cache-dir", tmp_path / "cache")
    environment = {"AIP_MODEL_DIR": f"{url}/job/model/", "STORAGE_EMULATOR_HOST": endpoint}
    ran = run_trainer(*arguments, **environment)
    assert ran.returncode == 0, ran.stderr
    made = {info.name: info for info in open_store(f"{url}/job/model", endpoint=endpoint).list()}
    assert {BUNDLE_FILE, "saved_model/saved_model.pb", "training.csv"} <= set(made)
    for name in made:
        open_store(f"{url}/job/model", endpoint=endpoint).get_file(name, tmp_path / "bundle" / name)
    assert read_bundle(tmp_path / "bundle").info.manifest_hash == small_manifest.hash
    again = run_trainer(*arguments, **environment)
    assert "already there" in again.stdout or "already at" in again.stdout
    assert "epoch" not in again.stdout


def test_the_images_root_follows_the_manifest(small_manifest: Manifest, tmp_path: Path) -> None:
    manifest, images = fetch_manifest(str(small_manifest.location), tmp_path)
    assert manifest.hash == small_manifest.hash
    assert Path(images).samefile(small_manifest.root)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--recipe", "resnet", "--output", "out"), 2, "there is no recipe 'resnet'"),
        (("--recipe", "cnn5"), 2, "AIP_MODEL_DIR is not set"),
        (("--recipe", "cnn5", "--output", "out", "--manifest", "gone.csv"), 2, "there is no manifest gone.csv"),
    ],
    ids=["recipe", "output", "manifest"],
)
def test_an_error_is_one_line_and_an_exit_code(
    small_manifest: Manifest, arguments: tuple[str, ...], code: int, words: str
) -> None:
    ran = run_trainer("--manifest", small_manifest.location, *arguments)
    assert ran.returncode == code
    assert len(ran.stderr.splitlines()) == 1
    assert words in ran.stderr
