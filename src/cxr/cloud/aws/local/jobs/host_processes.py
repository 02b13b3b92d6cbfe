"""The processes of one job's hosts, seen from the server: start them, hear them, end them."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr.cloud.aws.local.jobs.hosts import KILL, TERM


@dataclass(frozen=True, slots=True)
class HostCommand:
    """What one host runs."""

    host: str
    argv: Sequence[str]
    cwd: Path
    environment: Mapping[str, str]


class HostProcesses:
    """A wrapper and what it runs. They end with this process, however that ends."""

    def __init__(self, commands: Sequence[HostCommand], log: Path) -> None:
        self.codes: dict[str, int] = {}
        self._events: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cxr.cloud.aws.local.jobs.hosts"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        self._say(json.dumps({"hosts": [_document(command) for command in commands]}))
        threading.Thread(target=self._listen, daemon=True).start()

    def next_line(self, seconds: float) -> dict[str, Any] | None:
        """The next printed line within so many seconds. Raises EOFError when all is over."""
        try:
            event = self._events.get(timeout=seconds)
        except queue.Empty:
            return None
        if event is None:
            self._process.wait()
            raise EOFError
        if "ended" in event:
            self.codes[str(event["ended"])] = int(event["returncode"])
            return None
        return event if "text" in event else None

    def ask_to_end(self) -> None:
        """SIGTERM to all."""
        self._say(TERM)

    def kill(self) -> None:
        """SIGKILL to all."""
        self._say(KILL)

    def close(self) -> None:
        """End whatever is left, at once."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)  # what a wrapper that was killed itself has left
        self._process.wait()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with contextlib.suppress(ValueError):  # a wrapper that died in the middle of a line
                self._events.put(json.loads(line))
        self._events.put(None)


def _document(command: HostCommand) -> dict[str, Any]:
    return {
        "task": command.host,
        "argv": list(command.argv),
        "cwd": str(command.cwd.resolve()),
        "environment": dict(command.environment),
    }
