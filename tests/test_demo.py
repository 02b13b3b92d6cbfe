"""The whole way, as a user runs it: `cxr demo` in a process of its own, killed and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import psutil
import pytest

from cxr.bundle import Bundle, Origin, read_bundle
from cxr.cloud.emulator.process import stop
from cxr.cloud.journal import Journal
from cxr.manifests.manifest import read_manifest

Run = Callable[..., CompletedProcess[str]]

SMALL = ["--images", "160", "--epochs", "1"]
STEPS = 9


@pytest.fixture
def demo_folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "demo"
    yield folder
    stop(folder / ".cxr" / "emulator")


def _bundles(folder: Path) -> dict[Origin, Bundle]:
    found = [read_bundle(path.parent) for path in (folder / "runs").glob("*/bundle.json")]
    return {bundle.info.origin: bundle for bundle in found}


def _results(folder: Path) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((folder / "compare" / "results.json").read_text())
    return results


def _auc(folder: Path, origin: Origin) -> float:
    wanted = _bundles(folder)[origin].hash
    row = next(row for row in _results(folder)["rows"] if row["bundle"] and row["bundle"]["hash"] == wanted)
    return float(row["metrics"]["auc"]["value"])


def _when(folder: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in (folder / "runs").glob("*/bundle.json")}


def test_the_demo_ends_with_three_models_in_one_table_and_repeats_nothing(run_cxr: Run, demo_folder: Path) -> None:
    first = run_cxr("demo", *SMALL, "--out", str(demo_folder))
    assert first.returncode == 0, first.stderr[-3000:]

    manifest = read_manifest(demo_folder / "manifest.csv")
    bundles = _bundles(demo_folder)
    assert set(bundles) == {Origin.BASELINE, Origin.CUSTOM_JOB, Origin.AUTOML}
    assert all(bundle.info.manifest_hash == manifest.hash for bundle in bundles.values())
    assert bundles[Origin.AUTOML].info.stand_in
    assert (bundles[Origin.AUTOML].folder / "tf-js" / "model.json").is_file()

    for bundle in bundles.values():
        assert bundle.info.name in first.stdout
    assert "stand-in" in first.stdout
    report = (demo_folder / "compare" / "report.html").read_text()
    assert "stand-in" in report
    assert "not a medical device" in report
    assert _results(demo_folder)["manifest"]["hash"] == manifest.hash
    assert not (demo_folder / ".cxr" / "emulator" / "server.json").exists()

    before, jobs = _when(demo_folder), Journal(demo_folder / ".cxr" / "jobs.jsonl").jobs()
    second = run_cxr("demo", *SMALL, "--out", str(demo_folder))
    assert second.returncode == 0, second.stderr[-3000:]
    assert _when(demo_folder) == before
    assert Journal(demo_folder / ".cxr" / "jobs.jsonl").jobs() == jobs


def _start(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "cxr", "demo", *SMALL, "--out", str(folder)]
    return subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )


def _kill_at(folder: Path, marker: str, *, emulator_too: bool) -> None:
    """Start the demo and kill it (-9) as soon as it says `marker`."""
    demo = _start(folder)
    assert demo.stderr is not None
    said = []
    for line in demo.stderr:
        said.append(line)
        if marker in line:
            break
    else:
        pytest.fail(f"the demo never said {marker}: {''.join(said)[-2000:]}")
    family = psutil.Process(demo.pid).children(recursive=True)
    demo.send_signal(signal.SIGKILL)
    demo.wait()
    if emulator_too:
        _kill_emulator(folder)
    for process in family:
        # Helper processes of a killed parent (a pool's workers, say) end by themselves or here.
        if process.is_running() and "cxr.cloud.emulator" not in " ".join(_command_line(process)):
            process.kill()


def _kill_emulator(folder: Path) -> None:
    record = folder / ".cxr" / "emulator" / "server.json"
    if not record.is_file():
        return
    server = psutil.Process(json.loads(record.read_text())["pid"])
    doomed = [*server.children(recursive=True), server]
    for process in doomed:
        process.kill()
    psutil.wait_procs(doomed, timeout=30)


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("emulator_too", [False, True], ids=["demo killed", "demo, emulator and jobs killed"])
def test_killed_at_every_step_it_ends_well_and_trains_nothing_twice(
    run_cxr: Run, demo_folder: Path, emulator_too: bool
) -> None:
    finished: dict[str, int] = {}
    for step in range(1, STEPS + 1):
        _kill_at(demo_folder, f"[{step}/{STEPS}]", emulator_too=emulator_too)
        now = _when(demo_folder)
        assert {name: now.get(name) for name in finished} == finished
        finished = now
    ended = run_cxr("demo", *SMALL, "--out", str(demo_folder))
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert {name: _when(demo_folder)[name] for name in finished} == finished
    assert len(Journal(demo_folder / ".cxr" / "jobs.jsonl").jobs()) == 2
    assert len(_bundles(demo_folder)) == 3


@pytest.mark.slow
@pytest.mark.xrays
@pytest.mark.timeout(3600)
def test_on_real_xrays_the_models_are_as_good_as_promised(run_cxr: Run, demo_folder: Path, xrays: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "cxr", "demo", "--data", str(xrays), "--out", str(demo_folder)],
        capture_output=True,
        text=True,
        timeout=3000,
        check=False,
    )
    print(result.stdout, result.stderr[-3000:])
    assert result.returncode == 0
    assert _auc(demo_folder, Origin.BASELINE) > 0.95
    assert _auc(demo_folder, Origin.AUTOML) > 0.93
