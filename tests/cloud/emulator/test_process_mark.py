"""A job's process is known again whatever happens to the machine's clock."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from cxr.cloud.emulator.jobs import attempts
from cxr.cloud.emulator.jobs.attempts import AttemptState
from cxr.cloud.emulator.jobs.process_mark import mark_of
from cxr.cloud.emulator.jobs.runner import LAUNCH, claim, write_atomically


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reckons a process's start from the wall clock")
def test_a_running_job_is_not_lost_when_the_clock_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claim(tmp_path, {"pid": os.getpid(), "mark": mark_of(os.getpid()), "started": time.time()})
    before = psutil.Process().create_time()

    # What the system tells of its own start after the clock was set forward by an hour.
    told = tmp_path / "proc"
    told.mkdir()
    (told / str(os.getpid())).symlink_to(f"/proc/{os.getpid()}")
    lines = Path("/proc/stat").read_text().splitlines()
    moved = [f"btime {int(line.split()[1]) + 3600}" if line.startswith("btime ") else line for line in lines]
    (told / "stat").write_text("\n".join(moved) + "\n")
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(told))
    assert psutil.Process().create_time() - before == pytest.approx(3600, abs=2)

    assert attempts.state_of(tmp_path) is AttemptState.RUNNING


def test_a_process_that_has_got_the_id_of_another_is_not_the_job(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        claim(tmp_path, {"pid": os.getpid(), "mark": mark_of(other.pid), "started": time.time()})
        assert attempts.state_of(tmp_path) is AttemptState.LOST
        other.communicate(b"\n")
    with pytest.raises(psutil.NoSuchProcess):
        mark_of(other.pid)


@pytest.mark.parametrize("hours", [-30, 30], ids=["set back", "set forward"])
def test_a_clock_that_is_set_takes_no_time_from_a_wrapper_that_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    write_atomically(tmp_path / LAUNCH, {})
    moved = time.time() + hours * 3600
    os.utime(tmp_path / LAUNCH, (moved, moved))
    assert attempts.state_of(tmp_path) is AttemptState.STARTING
    monkeypatch.setattr(attempts, "CLAIM_SECONDS", 0.0)
    # The server claims it, so that a wrapper that comes yet leaves; the next look says what became of it.
    attempts.state_of(tmp_path)
    assert attempts.state_of(tmp_path) is AttemptState.LOST
