"""The whole way, as a user runs it: `cxr demo` in a process of its own, killed and started again."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import psutil
import pytest

from cxr.bundle import Bundle, Origin, read_bundle
from cxr.cli.demo_steps import STEPS
from cxr.cloud.emulator.process import stop
from cxr.cloud.jobs.journal import Journal
from cxr.cloud.trainer.job import HDF5_MAGIC
from cxr.manifests.manifest_file import read_manifest
from cxr.webapp import static
from cxr.webapp.page import read_page

Run = Callable[..., CompletedProcess[str]]

#: The demo is a proof of minutes; `make demo` is its quick one.
pytestmark = pytest.mark.slow
SMALL = ["--images", "160", "--epochs", "1"]


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


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, CompletedProcess[str]]]:
    """A demo that has run to its end, and what it said; its emulator starts again when a command needs it."""
    folder = tmp_path_factory.mktemp("finished") / "demo"
    command = [sys.executable, "-m", "cxr", "demo", *SMALL, "--out", str(folder)]
    said = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=500, check=False)
    assert said.returncode == 0, said.stderr[-3000:]
    yield folder, said
    stop(folder / ".cxr" / "emulator")


def test_the_demo_ends_what_it_started(finished: tuple[Path, CompletedProcess[str]]) -> None:
    # First of those that use the folder: nothing but the demo has run in it yet.
    folder, _ = finished
    mine = [process for process in psutil.process_iter() if str(folder) in " ".join(_command_line(process))]
    assert mine == []


def test_the_demo_ends_with_three_models_of_one_manifest(finished: tuple[Path, CompletedProcess[str]]) -> None:
    folder, said = finished
    manifest = read_manifest(folder / "manifest.csv")
    bundles = _bundles(folder)
    assert set(bundles) == {Origin.BASELINE, Origin.CUSTOM_JOB, Origin.AUTOML}
    assert all(bundle.info.manifest_hash == manifest.hash for bundle in bundles.values())
    assert all(bundle.info.name in said.stdout for bundle in bundles.values())
    assert _results(folder)["manifest"]["hash"] == manifest.hash
    assert "not a medical device" in (folder / "compare" / "report.html").read_text()
    assert str(folder) in said.stderr
    assert "next: " in said.stderr


def test_the_demo_ends_with_a_page(finished: tuple[Path, CompletedProcess[str]]) -> None:
    folder, said = finished
    if not (static.FOLDER / static.BUILD_FILE).is_file():
        pytest.skip("the web files are not built: make web")
    assert f"cxr web serve {folder / 'page'} --open" in said.stderr
    page = read_page(folder / "page")
    assert page["name"] == "baseline-cnn5"
    assert page["known"]["count"] > 0
    assert page["gate"] is not None or "no check of likeness" in said.stderr
    assert (folder / "page" / "index.html").is_file()


def test_the_stand_in_is_called_so_wherever_its_figures_stand(finished: tuple[Path, CompletedProcess[str]]) -> None:
    folder, said = finished
    bundle = _bundles(folder)[Origin.AUTOML]
    assert bundle.info.stand_in
    assert (bundle.folder / "tf-js" / "model.json").is_file()
    assert "stand-in" in said.stdout
    assert "stand-in" in (folder / "compare" / "report.html").read_text()


def test_the_plan_with_its_price_comes_before_the_launch(finished: tuple[Path, CompletedProcess[str]]) -> None:
    _, said = finished
    assert "nothing here; on Google at most 18.00 USD" in said.stdout


def test_a_second_run_trains_and_sends_nothing(run_cxr: Run, finished: tuple[Path, CompletedProcess[str]]) -> None:
    folder, _ = finished
    before, jobs = _when(folder), Journal(folder / ".cxr" / "jobs.jsonl").jobs()
    second = run_cxr("demo", *SMALL, "--out", str(folder))
    assert second.returncode == 0, second.stderr[-3000:]
    assert "to send    0.0 MB" in second.stdout
    assert _when(folder) == before
    assert Journal(folder / ".cxr" / "jobs.jsonl").jobs() == jobs


def test_two_demos_in_one_folder_are_refused(run_cxr: Run, tmp_path: Path) -> None:
    folder = tmp_path / "busy"
    folder.mkdir()
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = run_cxr("demo", "--out", str(folder))
    assert refused.returncode == 2
    assert "another demo is at work" in refused.stderr


def test_jobs_are_followed_and_brought_home_from_the_command_line(
    run_cxr: Run, finished: tuple[Path, CompletedProcess[str]]
) -> None:
    folder, _ = finished
    listed = json.loads(run_cxr("cloud", "jobs", "--json", cwd=folder).stdout)["jobs"]
    assert {job["state"] for job in listed} == {"SUCCEEDED"}

    logs = run_cxr("cloud", "logs", "custom", cwd=folder)
    assert logs.returncode == 0, logs.stderr
    assert "epoch 1/1" in logs.stdout
    refused = run_cxr("cloud", "logs", "automl", cwd=folder)
    assert (refused.returncode, "no logs of AutoML" in refused.stderr) == (2, True)

    exported = run_cxr("cloud", "export", "automl", "--out", "again", "--json", cwd=folder)
    assert json.loads(exported.stdout)["stand_in"] is True
    assert read_bundle(folder / "again").info.classes == ("NORMAL", "PNEUMONIA")
    refused = run_cxr("cloud", "export", "automl", "--to", "tflite,core-ml", "--out", "other", cwd=folder)
    assert (refused.returncode, "it has: tflite, " in refused.stderr) == (2, True)
    assert not (folder / "other").exists()


def test_the_same_plan_is_not_launched_twice(run_cxr: Run, finished: tuple[Path, CompletedProcess[str]]) -> None:
    folder, _ = finished
    train = ["cloud", "train", "custom", "--epochs", "1", "--yes", "--json"]
    again = run_cxr(*train, cwd=folder)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["fresh"] is False
    # With the journal lost, the job is found on the service by its label.
    journal = folder / ".cxr" / "jobs.jsonl"
    kept = journal.read_bytes()
    journal.unlink()
    try:
        found = json.loads(run_cxr(*train, cwd=folder).stdout)
        assert (found["resource"], found["fresh"]) == (json.loads(again.stdout)["resource"], False)
    finally:
        journal.write_bytes(kept)


def test_ctrl_c_ends_the_wait_and_not_the_job(run_cxr: Run, finished: tuple[Path, CompletedProcess[str]]) -> None:
    folder, _ = finished
    launched = run_cxr(
        "cloud", "train", "custom", "--recipe", "cnn5", "--epochs", "1", "--seed", "99", "--yes", "--json", cwd=folder
    )
    job = json.loads(launched.stdout)["job"]
    waiting = subprocess.Popen(
        [sys.executable, "-m", "cxr", "cloud", "wait", job], cwd=folder, stderr=subprocess.PIPE, text=True
    )
    assert waiting.stderr is not None
    first = waiting.stderr.readline()
    waiting.send_signal(signal.SIGINT)
    _, said = waiting.communicate(timeout=300)
    assert job in first
    assert (waiting.returncode, f"cxr cloud wait {job}" in said) == (6, True)

    ended = run_cxr("cloud", "wait", job, "--json", cwd=folder)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["jobs"][0]["state"] == "SUCCEEDED"


def test_a_failed_job_is_exit_4_with_the_reason(run_cxr: Run, finished: tuple[Path, CompletedProcess[str]]) -> None:
    folder, _ = finished
    broken = folder / "broken.h5"
    broken.write_bytes(HDF5_MAGIC + b"and then no weights")
    launched = run_cxr("cloud", "train", "custom", "--weights", str(broken), "--yes", "--json", cwd=folder)
    job = json.loads(launched.stdout)["job"]
    ended = run_cxr("cloud", "wait", job, cwd=folder)
    assert ended.returncode == 4
    assert "FAILED" in ended.stderr
    assert f"cxr cloud logs {job}" in ended.stderr
    assert "broken.h5" in run_cxr("cloud", "logs", job, cwd=folder).stdout


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
        if "cxr.cloud.emulator" not in " ".join(_command_line(process)):
            _kill(process)


def _kill_emulator(folder: Path) -> None:
    record = folder / ".cxr" / "emulator" / "server.json"
    if not record.is_file():
        return
    server = psutil.Process(json.loads(record.read_text())["pid"])
    server.suspend()  # as when the machine goes down: it sees none of its jobs die and starts none anew
    doomed = [server, *server.children(recursive=True)]
    for process in doomed:
        _kill(process)
    psutil.wait_procs(doomed, timeout=120)


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):  # it may end by itself between the look and the kill
        process.kill()


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []


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
    trained = [job for job in Journal(demo_folder / ".cxr" / "jobs.jsonl").jobs() if job.kind != "import"]
    assert len(trained) == 2
    assert len(_bundles(demo_folder)) == 3


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
