"""The trainer as a real process: from a folder, and from a bucket of the local emulator, to a complete bundle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
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
    return subprocess.run(command, env=clean | environment, capture_output=True, text=True, timeout=500, check=False)


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """An emulator with an empty bucket: its URL, and the bucket's."""
    pytest.importorskip("google.cloud.storage", reason='needs the extra: pip install "cxr[gcp]"')
    pytest.importorskip("httptools", reason='needs the extra: pip install "cxr[gcp]"')
    from cxr.cloud.emulator import process
    from cxr.storage.google.store import gcs_client

    state = tmp_path_factory.mktemp("emulator")
    url = process.ensure_running(state)
    gcs_client(endpoint=url, project=None, workers=4).create_bucket("trainer-tests", location="us-central1")
    yield url, "gs://trainer-tests"
    process.stop(state)


def read_scalars(paths: list[Path]) -> dict[str, dict[int, float]]:
    """The scalars of event files, by name and step, through TensorFlow's own record reader."""
    tf = load().tf
    found: dict[str, dict[int, float]] = {}
    for record in tf.data.TFRecordDataset([str(path) for path in paths]):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            found.setdefault(value.tag, {})[event.step] = float(tf.make_ndarray(value.tensor))
    return found


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_bucket_is_trained_into_a_bundle_in_the_bucket_once(
    small_manifest: Manifest, bucket: tuple[str, str], tmp_path: Path
) -> None:
    from cxr.storage import open_store

    endpoint, url = bucket
    store = open_store(f"{url}/data", endpoint=endpoint)
    for path in small_manifest.root.rglob("*.*"):
        store.put_file(path.relative_to(small_manifest.root).as_posix(), path)
    arguments = ("--manifest", f"{url}/data/manifest.csv", "--recipe", "edge", "--epochs", 1)
    arguments = (*arguments, "--cache-dir", tmp_path / "cache", "--set", "dropout=0.1", "--batch-size=12")
    environment = {
        "AIP_MODEL_DIR": f"{url}/job/model/",
        "AIP_CHECKPOINT_DIR": f"{url}/job/checkpoints/",
        "AIP_TENSORBOARD_LOG_DIR": f"{url}/job/logs/",
        "CLOUD_ML_HP_METRIC_FILE": str(tmp_path / "metrics"),
        "CLOUD_ML_TRIAL_ID": "5",
        "STORAGE_EMULATOR_HOST": endpoint,
    }
    ran = run_trainer(*arguments, **environment)
    assert ran.returncode == 0, ran.stderr
    made = {info.name: info for info in open_store(f"{url}/job/model", endpoint=endpoint).list()}
    assert {BUNDLE_FILE, "saved_model/saved_model.pb", "training.csv"} <= set(made)
    for name in made:
        open_store(f"{url}/job/model", endpoint=endpoint).get_file(name, tmp_path / "bundle" / name)
    info = read_bundle(tmp_path / "bundle").info
    assert info.manifest_hash == small_manifest.hash
    assert info.provenance["overrides"] == {"dropout": 0.1, "batch_size": 12}
    written = [info.name for info in open_store(f"{url}/job", endpoint=endpoint).list()]
    assert [name for name in written if name.endswith("-000001-00000000.npz")]
    logs = open_store(f"{url}/job/logs", endpoint=endpoint)
    for event_file in logs.list():
        logs.get_file(event_file.name, tmp_path / "logs" / event_file.name)
    scalars = read_scalars(list((tmp_path / "logs").iterdir()))
    assert set(scalars) == {"loss", "val_loss", "val_auc", "val_accuracy", "learning_rate"}
    assert scalars["val_auc"] == {1: pytest.approx(info.provenance["validation_auc"], abs=1e-6)}
    (report,) = [json.loads(line) for line in (tmp_path / "metrics").read_text().splitlines()]
    assert (report["trial"], report["global_step"]) == ("5", "1")
    assert float(report["val_auc"]) == pytest.approx(info.provenance["validation_auc"])
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
        (("--recipe", "cnn5", "--output", "out", "--seed=-1"), 2, "the seed -1: it takes a whole number"),
        (("--recipe", "cnn5", "--output", "out", "--set", "stages.rate=1"), 2, "a recipe has no 'stages.rate'"),
        (("--recipe", "cnn5", "--output", "out", "--learning-rate=9"), 2, "it takes a number, 1e-07 to 1"),
        (("--recipe", "cnn5", "--output", "out", "--manifest", "gone.csv"), 2, "there is no manifest gone.csv"),
    ],
    ids=["recipe", "output", "seed", "key", "value", "manifest"],
)
def test_an_error_is_one_line_and_an_exit_code(
    small_manifest: Manifest, arguments: tuple[str, ...], code: int, words: str
) -> None:
    ran = run_trainer("--manifest", small_manifest.location, *arguments)
    assert ran.returncode == code
    assert len(ran.stderr.splitlines()) == 1
    assert words in ran.stderr


def test_the_trainer_needs_only_what_its_image_and_extra_have() -> None:
    # The image has TensorFlow (with Keras and NumPy); cxr[trainer] brings the base dependencies and Cloud Storage.
    code = (
        "import sys, cxr.local_baseline.trainer, cxr.local_baseline.exports.saved_model\n"
        "from cxr.storage import open_store\n"
        "open_store('gs://bucket', endpoint='http://127.0.0.1:9')\n"
        "print(*sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    others = {"google.cloud.aiplatform", "google.cloud.logging", "httptools", "psutil", "boto3", "tensorboard"}
    others |= {"ai_edge_litert", "imagehash", "sklearn", "jinja2", "pydicom", "matplotlib"}
    assert others.isdisjoint(ran.stdout.split())


#: So many that a job which is to be killed after a few is far from its end, however late the kill comes.
MANY_EPOCHS = 16


def epochs_kept(places: Path) -> int:
    """How far the newest checkpoint is."""
    return max((int(path.name.split("-")[-2]) for path in places.glob("cxr-*.npz")), default=0)


@pytest.mark.slow
def test_a_job_that_is_killed_and_started_again_ends_as_if_it_had_not_been(
    small_manifest: Manifest, cache_dir: Path, tmp_path: Path
) -> None:
    def command(name: str) -> list[str]:
        arguments = ("--manifest", small_manifest.location, "--recipe", "cnn5", "--epochs", MANY_EPOCHS)
        arguments = (*arguments, "--cache-dir", cache_dir, "--output", tmp_path / name, "--batch-size", 12)
        arguments = (*arguments, "--set", "early_stopping.patience=99")
        return [sys.executable, "-m", "cxr.local_baseline.trainer", *map(str, arguments)]

    calm = subprocess.run(command("calm"), capture_output=True, text=True, check=True)
    places = tmp_path / "checkpoints"
    environment = os.environ | {"AIP_CHECKPOINT_DIR": str(places)}
    for kill in (signal.SIGKILL, signal.SIGTERM):
        before = epochs_kept(places)
        process = subprocess.Popen(command("killed"), env=environment, stdout=subprocess.PIPE, text=True)
        while process.poll() is None and epochs_kept(places) < before + 2:
            time.sleep(0.01)
        process.send_signal(kill)
        process.communicate()
        assert process.returncode in {-signal.SIGKILL, 6}
        assert not (tmp_path / "killed").exists()
    ran = subprocess.run(command("killed"), env=environment, capture_output=True, text=True, check=True)
    assert "continuing from" in ran.stdout
    assert f"epoch 2/{MANY_EPOCHS}" not in ran.stdout
    assert f"epoch {MANY_EPOCHS}/{MANY_EPOCHS}" in calm.stdout
    calm_history, history = ((tmp_path / name / "training.csv").read_text() for name in ("calm", "killed"))
    assert history == calm_history
    ours, theirs = (read_bundle(tmp_path / name).info for name in ("killed", "calm"))
    assert ours.threshold == theirs.threshold
    assert ours.provenance["best_epoch"] == theirs.provenance["best_epoch"]
