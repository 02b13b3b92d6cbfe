"""The real trainer in the emulator's jobs: preempted and taken up again, on several replicas, tuned."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from cxr.bundle import read_bundle
from cxr.cloud.emulator.process import change_outcomes, clear_outcomes, ensure_running, stop
from cxr.manifests.manifest_file import write_manifest
from cxr.manifests.sample import draw_sample
from cxr.manifests.scan.folder import scan
from cxr.manifests.splits.split import make_validation

Run = Callable[..., CompletedProcess[str]]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a manifest, its images uploaded to the folder's emulator, which runs one job at a time."""
    folder = tmp_path_factory.mktemp("trainer")
    draw_sample(folder / "images", images=120, seed=3)
    write_manifest(make_validation(scan(folder / "images")), folder / "manifest.csv")
    state = folder / ".cxr" / "emulator"
    ensure_running(state, max_running_jobs=1, idle_exit_seconds=600)
    command = [sys.executable, "-m", "cxr", "cloud", "upload", "--yes", "--quiet"]
    subprocess.run(command, cwd=folder, check=True, timeout=300, stdout=subprocess.DEVNULL)
    yield folder
    stop(state)


@pytest.fixture
def cxr(run_cxr: Run, data: Path) -> Callable[..., Any]:
    def run(*words: str) -> Any:
        ended = run_cxr("cloud", *words, "--json", cwd=data)
        assert ended.returncode == 0, ended.stderr[-3000:]
        return json.loads(ended.stdout)

    return run


def _trained(cxr: Callable[..., Any], data: Path, *words: str) -> tuple[str, list[dict[str, str]], dict[str, Any]]:
    """The id of a finished job, the epochs of its bundle, and its provenance."""
    job = cxr("train", "custom", "--recipe", "cnn5", "--epochs", "3", "--yes", *words)["job"]
    assert cxr("wait", job)["jobs"][0]["state"] == "SUCCEEDED"
    cxr("export", job, "--out", f"runs/{job}")
    folder = data / "runs" / job
    with (folder / "training.csv").open() as stream:
        return job, list(csv.DictReader(stream)), dict(read_bundle(folder).info.provenance)


def _same(one: dict[str, str], other: dict[str, str], tolerance: float) -> bool:
    return one.keys() == other.keys() and all(
        one[key] == other[key]
        if key in {"stage", "epoch", "epochs"}
        else float(one[key]) == pytest.approx(float(other[key]), rel=tolerance, abs=tolerance)
        for key in one
    )


def test_preempted_twice_and_resumed_it_comes_to_the_same_result(cxr: Callable[..., Any], data: Path) -> None:
    _, calm, _ = _trained(cxr, data, "--seed", "5")
    url = json.loads((data / ".cxr" / "emulator" / "server.json").read_text())["url"]
    rule = {"resource": "customJobs", "outcome": "preempt", "seconds": 0, "checkpoints": 1, "count": 2}
    change_outcomes(url, {"rules": [rule]})
    try:
        # Spot is another job, with the same training in it.
        job, disturbed, provenance = _trained(cxr, data, "--seed", "5", "--spot")
    finally:
        clear_outcomes(url)
    told = "\n".join(line["text"] for line in cxr("logs", job)["lines"])
    attempts = sorted(data.glob(".cxr/emulator/jobs/*/attempt-3"))
    assert len(attempts) == 1
    assert len(disturbed) == len(calm) == 3
    assert all(_same(one, other, 1e-4) for one, other in zip(calm, disturbed, strict=True)), (calm, disturbed)
    assert provenance["epochs_run"] == 3
    assert "checkpoint" in told


def test_two_replicas_come_to_the_same_result_as_one(cxr: Callable[..., Any], data: Path) -> None:
    _, alone, _ = _trained(cxr, data, "--seed", "6")
    _, together, _ = _trained(cxr, data, "--seed", "6", "--replicas", "2")
    # The sums of two replicas are rounded otherwise than those of one, and training amplifies that: the first epoch
    # tells whether the same was trained.
    assert float(together[0]["loss"]) == pytest.approx(float(alone[0]["loss"]), rel=0.01)


def test_the_best_trial_becomes_a_bundle(cxr: Callable[..., Any], data: Path) -> None:
    space = data / "space.toml"
    ranges = 'kind = "double"\nlow = 1e-4\nhigh = 1e-2\nscale = "log"\n'
    space.write_text(f'recipe = "cnn5"\n[[parameter]]\nid = "learning-rate"\n{ranges}')
    tune = ("train", "tune", "--recipe", "cnn5", "--epochs", "1", "--trials", "2", "--space", str(space), "--yes")
    job = cxr(*tune)["job"]
    assert cxr("wait", job)["jobs"][0]["state"] == "SUCCEEDED"
    trials = cxr("trials", job, "--csv", "trials.csv")["trials"]
    assert [trial["state"] for trial in trials] == ["SUCCEEDED", "SUCCEEDED"]
    assert trials[0]["value"] >= trials[1]["value"]
    assert (data / "trials.csv").read_text().startswith("trial,state,val_auc,learning-rate\n")
    cxr("export", job, "--out", "runs/tuned")
    provenance = read_bundle(data / "runs" / "tuned").info.provenance
    assert provenance["validation_auc"] == pytest.approx(trials[0]["value"])
