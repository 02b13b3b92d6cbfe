"""The whole way on the server that stands for Amazon, as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import psutil
import pytest

pytest.importorskip("moto", reason='needs the extra: pip install "cxr[aws-local]"')

from cxr.bundle import ModelFormat, Origin, read_bundle
from cxr.cloud.aws.local.process import stop
from cxr.manifests.manifest_file import read_manifest

#: The demo is a proof of minutes.
pytestmark = pytest.mark.slow
SMALL = ["--on", "aws-local", "--images", "160", "--epochs", "1"]


def _run(folder: Path) -> CompletedProcess[str]:
    command = [sys.executable, "-m", "cxr", "demo", *SMALL, "--out", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=500, check=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, CompletedProcess[str]]]:
    """A demo that has run to its end, and what it said."""
    folder = tmp_path_factory.mktemp("finished") / "demo"
    try:
        said = _run(folder)
        assert said.returncode == 0, said.stderr[-3000:]
        yield folder, said
    finally:
        stop(folder / ".cxr" / "aws-local")


def test_it_ends_what_it_started(finished: tuple[Path, CompletedProcess[str]]) -> None:
    # First of those that use the folder: nothing but the demo has run in it yet.
    folder, _ = finished
    assert [one for one in psutil.process_iter() if str(folder) in " ".join(_command_line(one))] == []


def test_three_models_are_judged_on_one_manifest(finished: tuple[Path, CompletedProcess[str]]) -> None:
    folder, said = finished
    manifest = read_manifest(folder / "manifest.csv")
    bundles = {}
    for path in (folder / "runs").glob("*/bundle.json"):
        bundle = read_bundle(path.parent)
        bundles[bundle.info.origin] = bundle.info
    assert set(bundles) == {Origin.BASELINE, Origin.CUSTOM_JOB, Origin.AUTOML}
    assert {info.manifest_hash for info in bundles.values()} == {manifest.hash}
    # Autopilot's model stays on the service: its answers come home, and are called a stand-in's.
    assert (bundles[Origin.AUTOML].format, bundles[Origin.AUTOML].stand_in) == (ModelFormat.PREDICTIONS, True)
    assert "stand-in" in said.stdout
    results = json.loads((folder / "compare" / "results.json").read_text())
    assert sum(row["bundle"] is not None for row in results["rows"]) == 3
    assert "nothing here; on Amazon at most 1.54 USD" in said.stdout


def test_training_ran_in_sagemakers_folders_and_test_images_stayed_at_home(
    finished: tuple[Path, CompletedProcess[str]],
) -> None:
    folder, _ = finished
    manifest = read_manifest(folder / "manifest.csv")
    (ml,) = (folder / ".cxr" / "aws-local" / "jobs").glob("cxr-custom-*/algo-1/opt/ml")
    told = json.loads((ml / "input" / "config" / "hyperparameters.json").read_text())
    assert (told["recipe"], told["epochs"]) == ("mobilenet-v2", "1")
    images = ml / "input" / "data" / "training"
    travelled = {str(path.relative_to(images)) for path in images.rglob("*") if path.is_file()}
    frame = manifest.frame
    assert travelled == set(frame.loc[frame["split"].isin(["train", "validation"]), "path"])
    assert (ml / "model" / "bundle.json").is_file()


def test_a_second_run_trains_nothing_though_the_server_has_forgotten_all(
    finished: tuple[Path, CompletedProcess[str]],
) -> None:
    folder, _ = finished
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs").glob("*/bundle.json")}
    said = _run(folder)
    assert said.returncode == 0, said.stderr[-3000:]
    assert {path: path.stat().st_mtime_ns for path in (folder / "runs").glob("*/bundle.json")} == before


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
