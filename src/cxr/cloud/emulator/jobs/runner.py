"""The wrapper around one attempt of a job: `python -m cxr.cloud.emulator.jobs.runner ATTEMPT_DIR`.

It outlives the server. It claims the attempt by writing pid.json (once; who comes second leaves), starts the replicas
that launch.json names, writes every line that is printed to log.jsonl with its time, and at the end writes exit.json. A
server that was killed finds out from these files, later, how the job went.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import queue
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from cxr.cloud.emulator.jobs.process_mark import mark_of
from cxr.cloud.emulator.jobs.replicas import GRACE_SECONDS, LineLog, Replica

LAUNCH, CLAIM, EXIT, LOG = "launch.json", "pid.json", "exit.json", "log.jsonl"
#: What a replica says that could not be started at all, as a shell does.
NOT_STARTED = 127
#: <linux/prctl.h>.
PR_SET_CHILD_SUBREAPER = 36
#: How often processes are looked for that were begun while the others were ended.
MOST_ROUNDS = 5


def main(folder: Path) -> int:
    """Run one attempt to its end."""
    if not claim(folder, {"pid": os.getpid(), "mark": mark_of(os.getpid()), "started": time.time()}):
        return 0
    # A cancellation is sent to the whole group; this process stays to write down how the job took it.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    adopt_orphans()
    launch = json.loads((folder / LAUNCH).read_text(encoding="utf-8"))
    with (folder / LOG).open("ab", buffering=0) as log:
        write_atomically(folder / EXIT, _Cluster(launch, LineLog(log)).run())
    return 0


def claim(folder: Path, who: dict[str, Any]) -> bool:
    """Take an attempt; False when somebody has it already. The file appears whole or not at all."""
    handle, name = tempfile.mkstemp(dir=folder, prefix=".claim-")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(who, stream)
    try:
        (folder / CLAIM).hardlink_to(name)
    except FileExistsError:
        return False
    finally:
        Path(name).unlink()
    return True


def write_atomically(path: Path, value: dict[str, Any]) -> None:
    """A JSON file, written whole or not at all."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(json.dumps(value), encoding="utf-8")
    temporary.replace(path)


@dataclass(slots=True)
class _Result:
    """How it ended: with the exit code of the replica that ended it."""

    returncode: int
    timed_out: bool = False
    task: str = ""


@dataclass(slots=True)
class _Interruption:
    """One replica is to be ended and started again, so many times, each after so many seconds."""

    task: str
    seconds: float
    count: int
    due: float = field(default=0.0)


class _Cluster:
    """The replicas of one attempt. It ends when its primary replica ends, or another one fails."""

    def __init__(self, launch: Mapping[str, Any], log: LineLog) -> None:
        self._log = log
        self._ended: queue.SimpleQueue[tuple[str, int, int]] = queue.SimpleQueue()
        every = [launch, *launch.get("others", [])]
        self._replicas = {what["task"]: Replica(what, log, self._ended) for what in every}
        self._primary = str(launch["task"])
        timeout = launch.get("timeout_seconds")
        self._deadline = None if timeout is None else time.monotonic() + timeout
        raw = launch.get("interruption")
        self._interruption = _Interruption(**raw) if raw else None

    def run(self) -> dict[str, Any]:
        """Start all of them, wait, end what is left; exit.json."""
        failed = next((task for task, replica in self._replicas.items() if not replica.start()), None)
        result = self._wait() if failed is None else _Result(NOT_STARTED, task=failed)
        for replica in self._replicas.values():
            replica.ask_to_end()
        for replica in self._replicas.values():
            replica.end()
        end_descendants()
        for replica in self._replicas.values():
            replica.drain()
        ended = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        words = self._log.last_stderr.get(result.task, "")
        return {
            "returncode": result.returncode,
            "timed_out": result.timed_out,
            "task": result.task,
            "last_stderr": words,
            "ended": ended,
        }

    def _wait(self) -> _Result:
        if self._interruption is not None:
            self._interruption.due = time.monotonic() + self._interruption.seconds
        while True:
            try:
                task, run, returncode = self._ended.get(timeout=self._patience())
            except queue.Empty:
                if self._deadline is not None and time.monotonic() >= self._deadline:
                    return self._timed_out()
                self._interrupt()
                continue
            if run != self._replicas[task].run:
                continue  # the end of one that was started again
            if task == self._primary or returncode != 0:
                return _Result(returncode, task=task)

    def _patience(self) -> float | None:
        moments = [self._deadline, self._interruption.due if self._interruption else None]
        known = [moment for moment in moments if moment is not None]
        return min(max(0.0, min(known) - time.monotonic()), threading.TIMEOUT_MAX) if known else None

    def _timed_out(self) -> _Result:
        for replica in self._replicas.values():
            replica.kill()
        return _Result(-signal.SIGKILL, timed_out=True, task=self._primary)

    def _interrupt(self) -> None:
        interruption = self._interruption
        if interruption is None or time.monotonic() < interruption.due:
            return
        replica = self._replicas[interruption.task]
        replica.ask_to_end()
        replica.end()
        self._log.write(interruption.task, "stderr", "The replica was preempted and starts again.")
        replica.start()
        interruption.count -= 1
        interruption.due = time.monotonic() + interruption.seconds
        if interruption.count <= 0:
            self._interruption = None


def adopt_orphans() -> None:
    """A descendant whose parent is gone becomes this process's child, as of a container's first process (Linux)."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_descendants() -> None:
    """End whatever is left, as a container's end does: also what left the session."""
    for _ in range(MOST_ROUNDS):
        left = [child for child in psutil.Process().children(recursive=True) if _is_at_work(child)]
        if not left:
            return
        for child in left:
            with contextlib.suppress(psutil.Error):
                child.kill()
        psutil.wait_procs(left, GRACE_SECONDS)


def _is_at_work(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
