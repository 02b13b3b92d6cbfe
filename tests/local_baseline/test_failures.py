"""Full memory and full disks, for real: a clear last line, the last checkpoint kept, nothing half-written."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxr.errors import Fault
from cxr.local_baseline.local_training import Listeners, train_here
from cxr.local_baseline.request import TrainRequest
from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.training.curves import write_curves
from cxr.local_baseline.training.epochs import EpochResult
from cxr.local_baseline.training.failures import told_out_of_memory, told_unwritable
from cxr.manifests.manifest import Manifest

PETABYTE = 1 << 50


def allocate_with_tensorflow() -> None:
    load().tf.zeros([PETABYTE])


def allocate_with_numpy() -> None:
    np.empty(PETABYTE, np.uint8)


def give_a_net_too_much() -> None:
    keras = load().keras
    keras.Sequential([keras.Input((1,)), keras.layers.Dense(PETABYTE)])


@pytest.mark.parametrize(
    "allocate",
    [
        pytest.param(allocate_with_numpy, id="numpy"),
        # TensorFlow waits ten seconds for memory to be given back.
        pytest.param(allocate_with_tensorflow, id="tensorflow", marks=pytest.mark.slow),
        pytest.param(give_a_net_too_much, id="keras", marks=pytest.mark.slow),
    ],
)
def test_full_memory_is_a_fault_that_says_what_to_change(allocate: Any) -> None:
    with pytest.raises(Fault, match="out of memory with batches of 32 images") as caught, told_out_of_memory(32):
        allocate()
    assert "--set batch_size=16" in (caught.value.hint or "")


def test_another_error_is_not_taken_for_memory() -> None:
    tf = load().tf
    with pytest.raises(tf.errors.InvalidArgumentError), told_out_of_memory(32):
        tf.reshape(tf.zeros([3]), [2])
    with pytest.raises(KeyError), told_out_of_memory(32):
        raise KeyError("x")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_told_whichever_library_wrote(tmp_path: Path) -> None:
    history = (EpochResult("whole", 1, 1, 0.5, 0.4, 0.9, 0.8, 1e-3),)
    pytest.importorskip("matplotlib", reason='needs the extra: pip install "cxr[report]"')
    with (
        pytest.raises(Fault, match=r"cannot write the bundle to .*: No space left"),
        told_unwritable(tmp_path, "the bundle"),
    ):
        write_curves(history, "whole", 1, Path("/dev/full"))
    tf = load().tf
    with pytest.raises(Fault, match="No space left"), told_unwritable(tmp_path, "the bundle"):
        tf.io.write_file("/dev/full", tf.constant("x" * 100_000))


def test_curves_are_a_picture_with_both_stages(tmp_path: Path) -> None:
    image_module = pytest.importorskip("PIL.Image")
    pytest.importorskip("matplotlib", reason='needs the extra: pip install "cxr[report]"')
    head = [EpochResult("head", n, 2, 0.6 / n, 0.7 / n, 0.8, 0.7, 1e-3) for n in (1, 2)]
    tune = [EpochResult("fine-tune", n, 2, 0.2 / n, 0.3 / n, 0.9, 0.8, 1e-4) for n in (1, 2)]
    for name in ("one", "two"):
        write_curves([*head, *tune], "fine-tune", 2, tmp_path / f"{name}.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    with image_module.open(tmp_path / "one.png") as picture:
        assert picture.size == (880, 660)


def test_a_failure_says_what_is_kept_for_a_bundle(small_request: TrainRequest, tmp_path: Path) -> None:
    request = replace(small_request, output=tmp_path / "out", epochs=3)

    def fail(result: EpochResult) -> None:
        del result
        raise Fault("the training loss became nan in epoch 2, step 1", hint="lower the learning rate")

    listeners = Listeners(lambda done, total, note: None, fail)
    with pytest.raises(Fault, match="became nan") as caught:
        train_here(request, tmp_path / "checkpoints", listeners)
    assert "1 epoch is kept (the same command with --finish makes a bundle of the best)" in (caught.value.hint or "")
    assert not request.output.exists()
    bundle = train_here(request, tmp_path / "checkpoints", Listeners(lambda done, total, note: None), finish=True)
    assert bundle.info.provenance["ended_early"] is True
    assert bundle.info.provenance["epochs_run"] == 1


def in_a_small_disk(size: str, work: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run with `work`/disk being a file system of `size`; what is left in it is the last thing on stdout."""
    disk = work / "disk"
    disk.mkdir()
    script = f'mount -t tmpfs -o size={size} small "$0" || exit 99; "$@"; code=$?; find "$0" -type f; exit $code'
    words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, str(disk), *command]
    if shutil.which("unshare") is None:
        pytest.skip("a small disk needs Linux's unshare")
    ran = subprocess.run(words, cwd=work, capture_output=True, text=True, timeout=500, check=False)
    if ran.returncode in {1, 99} and not ran.stdout and ("unshare" in ran.stderr or "mount" in ran.stderr):
        pytest.skip(f"a small disk cannot be mounted here: {ran.stderr.strip()}")
    return ran


def train_command(manifest: Manifest, out: Path, cache: Path) -> list[str]:
    command = [sys.executable, "-m", "cxr", "baseline", "train", "--recipe", "cnn5", "--epochs", "1", "--quiet"]
    return [*command, "--manifest", str(manifest.location), "--out", str(out), "--cache", str(cache)]


def test_a_disk_too_small_for_the_cache(small_manifest: Manifest, tmp_path: Path) -> None:
    command = train_command(small_manifest, tmp_path / "out", tmp_path / "disk" / "cache")
    ran = in_a_small_disk("256k", tmp_path, *command)
    assert ran.returncode == 1
    assert "cannot write" in ran.stderr
    assert "No space left on device" in ran.stderr
    assert "Traceback" not in ran.stderr
    # What is there of the cache is gone on with; nothing of a bundle is.
    assert {Path(line).parent.name for line in ran.stdout.split()} <= {"cache"}
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_disk_too_small_for_the_bundle(small_manifest: Manifest, cache_dir: Path, tmp_path: Path) -> None:
    ran = in_a_small_disk("2m", tmp_path, *train_command(small_manifest, tmp_path / "disk" / "out", cache_dir))
    assert ran.returncode == 1
    assert "cannot write the bundle to" in ran.stderr
    assert "run the same command again" in ran.stderr
    assert "1 epoch is kept" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""


@pytest.mark.slow
def test_a_disk_too_small_for_checkpoints_does_not_end_the_training(
    small_manifest: Manifest, cache_dir: Path, tmp_path: Path
) -> None:
    command = train_command(small_manifest, tmp_path / "out", cache_dir)
    command.remove("--quiet")
    ran = in_a_small_disk("2m", tmp_path, "env", f"CXR_STATE_DIR={tmp_path / 'disk'}", *command)
    assert ran.returncode == 0, ran.stderr
    assert "no checkpoint was written" in ran.stderr
    assert (tmp_path / "out" / "bundle.json").is_file()
    assert ".npz" not in ran.stdout
