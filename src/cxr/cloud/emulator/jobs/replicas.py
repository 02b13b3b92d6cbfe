"""One replica of a job: a process, its descendants, and what they print."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import IO, Any

import psutil

MAX_LINE_BYTES = 64 * 1024
#: Of a last line on stderr, so much stands in a job's error.
MAX_WORDS = 2000
DRAIN_SECONDS = 5.0
#: How long a replica has between SIGTERM and SIGKILL when the job ends without it.
GRACE_SECONDS = 5.0


class LineLog:
    """log.jsonl: every line with its time, its replica and its stream; and each replica's last words on stderr."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self.last_stderr: dict[str, str] = {}

    def copy(self, task: str, source: IO[bytes], name: str) -> None:
        """Every line of a pipe, until it is closed."""
        while line := source.readline(MAX_LINE_BYTES):
            self.write(task, name, line.decode("utf-8", "replace").rstrip("\r\n"))

    def write(self, task: str, name: str, text: str) -> None:
        """One line."""
        with self._lock:  # the time as well: a line is never older than the one above it
            moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            line = json.dumps({"time": moment, "task": task, "stream": name, "text": text}).encode() + b"\n"
            if name == "stderr" and text.strip():
                self.last_stderr[task] = text.strip()[:MAX_WORDS]
            self._append(line)

    def _append(self, line: bytes) -> None:
        # On a full disk a line is lost, whole; its pipe must be read on, or the replica would wait for ever.
        with contextlib.suppress(OSError):
            before = os.fstat(self._stream.fileno()).st_size
            if self._stream.write(line) != len(line):
                self._stream.truncate(before)


class Replica:
    """A replica; `run` counts its starts. Each end is put into the queue: (task, run, exit code)."""

    def __init__(self, what: Mapping[str, Any], log: LineLog, ended: queue.SimpleQueue[tuple[str, int, int]]) -> None:
        self.run = 0
        self._what = what
        self._task = str(what["task"])
        self._log = log
        self._ended = ended
        self._process: subprocess.Popen[bytes] | None = None
        self._tree: list[psutil.Process] = []
        self._threads: list[threading.Thread] = []

    def start(self) -> bool:
        """Start it; False when there is no such program."""
        try:
            process = self._process = subprocess.Popen(
                self._what["argv"],
                cwd=self._what["cwd"],
                env=self._what["environment"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                restore_signals=True,
                preexec_fn=_default_signals,
            )
        except (OSError, ValueError) as error:  # ValueError: what no program can be given, a NUL for one
            reason = getattr(error, "strerror", None) or str(error)
            self._log.write(self._task, "stderr", f"cannot start {self._what['argv'][0]!r}: {reason}")
            return False
        self.run += 1
        for source, name in ((process.stdout, "stdout"), (process.stderr, "stderr")):
            self._in_background(self._log.copy, self._task, source, name)
        threading.Thread(target=self._wait, args=(process, self.run), daemon=True).start()
        return True

    def ask_to_end(self) -> None:
        """SIGTERM to it and its descendants, when it still runs."""
        self._tree = self._processes()
        self._signal(signal.SIGTERM)

    def end(self) -> None:
        """Wait for what was asked to end; SIGKILL for what does not."""
        if self._process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE_SECONDS if self._tree else None)
        psutil.wait_procs(self._tree[1:], GRACE_SECONDS)
        self._signal(signal.SIGKILL)
        self._process.wait()

    def kill(self) -> None:
        """SIGKILL to it and its descendants."""
        self._tree = self._processes()
        self._signal(signal.SIGKILL)

    def drain(self) -> None:
        """Wait until all that it printed is in the log."""
        for thread in self._threads:
            # What a job leaves behind may keep a pipe open for ever.
            thread.join(DRAIN_SECONDS)

    def _processes(self) -> list[psutil.Process]:
        if self._process is None or self._process.poll() is not None:
            return []
        try:
            process = psutil.Process(self._process.pid)
            return [process, *process.children(recursive=True)]
        except psutil.Error:
            return []

    def _signal(self, number: signal.Signals) -> None:
        for process in self._tree:
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)

    def _wait(self, process: subprocess.Popen[bytes], run: int) -> None:
        self._ended.put((self._task, run, process.wait()))

    def _in_background(self, work: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        thread.start()
        self._threads.append(thread)


def _default_signals() -> None:
    # Ignored signals would stay ignored in the job.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
