"""The wrapper around the processes of one job's hosts: `python -m cxr.cloud.aws.local.jobs.hosts`.

The first line on stdin says what to run; each later line is a signal's name for all of it (TERM, KILL). When stdin ends
the server is gone, and all ends at once. On stdout: a JSON line for each line that is printed ({"time", "task",
"stream", "text"}), {"ended": HOST, "returncode": N} for each end, {"over": true} at last. It ends when all hosts have
ended; when one has failed, the others are killed.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Mapping
from typing import IO, Any

from cxr.cloud.emulator.jobs.replicas import LineLog, Replica
from cxr.cloud.emulator.jobs.runner import NOT_STARTED, adopt_orphans, end_descendants

TERM, KILL = "TERM", "KILL"


def main() -> int:
    """Run what the first line says, to its end."""
    # Ctrl-C in a terminal reaches the whole group; the server decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    adopt_orphans()
    commands = os.fdopen(os.dup(0), "rb")
    launch = json.loads(commands.readline())
    with open(1, "wb", buffering=0, closefd=False) as out:
        _Hosts(launch, out).run(commands)
    # The thread that reads stdin holds a lock of it that an orderly exit would wait for.
    os._exit(0)


class _Hosts:
    def __init__(self, launch: Mapping[str, Any], out: io.RawIOBase) -> None:
        self._out = out
        self._log = LineLog(out)  # type: ignore[arg-type]
        self._ended: queue.SimpleQueue[tuple[str, int, int]] = queue.SimpleQueue()
        self._replicas = {what["task"]: Replica(what, self._log, self._ended) for what in launch["hosts"]}

    def run(self, commands: IO[bytes]) -> None:
        left = set(self._replicas)
        for task, replica in self._replicas.items():
            if not replica.start():
                self._ended.put((task, 1, NOT_STARTED))
        threading.Thread(target=self._obey, args=(commands,), daemon=True).start()
        codes: dict[str, int] = {}
        while left:
            task, _, codes[task] = self._ended.get()
            left.discard(task)
            if codes[task] != 0:
                for other in left:
                    self._replicas[other].kill()
        _end_all()
        for replica in self._replicas.values():
            replica.drain()
        for task, code in codes.items():
            self._say({"ended": task, "returncode": code})
        self._say({"over": True})

    def _obey(self, commands: IO[bytes]) -> None:
        for line in commands:
            for replica in self._replicas.values():
                if line.strip() == TERM.encode():
                    replica.ask_to_end()
                else:
                    replica.kill()
        _end_all()
        os._exit(1)

    def _say(self, document: Mapping[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._out.write(json.dumps(document).encode() + b"\n")


def _end_all() -> None:
    """End and collect whatever is left: nobody else may collect what has become this process's child."""
    end_descendants()
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


if __name__ == "__main__":
    sys.exit(main())
