"""One attempt of a job, seen from the server: launch it, ask how it is, end it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import psutil

from cxr.cloud.emulator.jobs.process_mark import mark_of
from cxr.cloud.emulator.jobs.runner import CLAIM, EXIT, LAUNCH, claim, write_atomically

#: How long a launched wrapper may take to claim its attempt.
CLAIM_SECONDS = 30.0
#: By how much the start times that two looks tell of one process may differ.
START_TOLERANCE_S = 1.0

#: When this process first looked for an attempt's claim (monotonic seconds): the clock may be set meanwhile, and a file
#: may have its time from another machine's.
_first_looks: dict[Path, float] = {}

#: What container_launch lays out for a replica to work with.
BULKY = ("gcs", "packages", "site", "work")
PRIMARY_TASK = "workerpool0-0"


@dataclass(frozen=True, slots=True)
class ReplicaLaunch:
    """What one more replica runs beside the primary one; `task` is its name (workerpool1-0)."""

    task: str
    argv: Sequence[str]
    cwd: str
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Launch:
    """What an attempt runs: its primary replica, and `others` beside it. It ends with the primary one, or when another
    one fails. `interruption` ({"task", "seconds", "count"}) ends and restarts one replica while the others go on."""

    argv: Sequence[str]
    cwd: str
    environment: Mapping[str, str]
    timeout_seconds: float | None = None
    task: str = PRIMARY_TASK
    others: Sequence[ReplicaLaunch] = ()
    interruption: Mapping[str, Any] | None = None


class AttemptState(Enum):
    """How an attempt is."""

    STARTING = "starting"
    RUNNING = "running"
    ENDED = "ended"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended by itself; `task` is the replica that ended it."""

    returncode: int
    timed_out: bool
    last_stderr: str
    task: str = PRIMARY_TASK


def attempt_folder(job_folder: Path, attempt: int) -> Path:
    """Where an attempt's files are."""
    return job_folder / f"attempt-{attempt}"


def launch(folder: Path, what: Launch) -> subprocess.Popen[bytes]:
    """Start the wrapper of an attempt, in a session of its own."""
    write_atomically(folder / LAUNCH, asdict(what))
    with (folder / "wrapper.err").open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "cxr.cloud.emulator.jobs.runner", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )


def state_of(folder: Path) -> AttemptState:
    """How an attempt is, from its files and the process table."""
    if (folder / EXIT).exists():
        return AttemptState.ENDED
    who = _claimed(folder)
    if who is None:
        return AttemptState.STARTING if _waited_seconds(folder) < CLAIM_SECONDS else _abandon(folder)
    _first_looks.pop(folder, None)
    if who.get("abandoned"):
        return AttemptState.LOST
    if _wrapper(who) is not None:
        return AttemptState.RUNNING
    # It may have written exit.json between the first look and this one.
    return AttemptState.ENDED if (folder / EXIT).exists() else AttemptState.LOST


def outcome_of(folder: Path) -> Outcome:
    """How an ENDED attempt ended."""
    raw = json.loads((folder / EXIT).read_text(encoding="utf-8"))
    task = str(raw.get("task") or PRIMARY_TASK)
    return Outcome(int(raw["returncode"]), bool(raw["timed_out"]), str(raw["last_stderr"]), task)


def running_seconds(folder: Path) -> float | None:
    """How long ago an attempt was claimed; None when it has not been."""
    who = _claimed(folder)
    return None if who is None or "started" not in who else time.time() - float(who["started"])


def terminate(folder: Path) -> None:
    """Ask every process of an attempt to end (SIGTERM)."""
    _signal(folder, signal.SIGTERM)


def kill(folder: Path) -> None:
    """End every process of an attempt (SIGKILL), and those of an attempt that has not begun before it does."""
    if _claimed(folder) is None and claim(folder, {"abandoned": True}):
        return
    _signal(folder, signal.SIGKILL)


def kill_leftovers(folder: Path) -> None:
    """End what the wrapper, dead itself, has left in its process group."""
    who = _claimed(folder)
    if who is None or "pid" not in who or _is_alive(who["pid"]):
        return
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == who["pid"]:
                process.kill()


def tidy(folder: Path) -> None:
    """Remove what an attempt that has ended leaves and nobody reads: copies of objects, site and work folders."""
    with contextlib.suppress(OSError):  # its job may be deleted at this moment
        for place in (folder, *folder.glob("workerpool*-*")):
            for name in BULKY:
                shutil.rmtree(place / name, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _signal(folder: Path, number: signal.Signals) -> None:
    who = _claimed(folder)
    wrapper = _wrapper(who) if who else None
    if wrapper is None:
        return
    with contextlib.suppress(psutil.Error, ProcessLookupError):
        # A child that made a session of its own is not in the group: look for it before its parent goes.
        children = wrapper.children(recursive=True)
        os.killpg(wrapper.pid, number)
        for child in children:
            with contextlib.suppress(psutil.Error):
                child.send_signal(number)


def _claimed(folder: Path) -> dict[str, Any] | None:
    try:
        value: dict[str, Any] = json.loads((folder / CLAIM).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return value


def _wrapper(who: Mapping[str, Any]) -> psutil.Process | None:
    try:
        process = psutil.Process(int(who["pid"]))
        if "mark" in who:
            same = mark_of(process.pid) == who["mark"]
        else:  # of a version that knew a process by the time it was started
            same = abs(process.create_time() - float(who["started"])) < START_TOLERANCE_S
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.Error, KeyError):
        return None


def _abandon(folder: Path) -> AttemptState:
    return AttemptState.LOST if claim(folder, {"abandoned": True}) else AttemptState.RUNNING


def _waited_seconds(folder: Path) -> float:
    if not (folder / LAUNCH).exists():
        return CLAIM_SECONDS  # the server died before there was anything to claim
    return time.monotonic() - _first_looks.setdefault(folder, time.monotonic())
