"""The wrapper around one attempt of a job: `python -m cxr.cloud.emulator.jobs.runner ATTEMPT_DIR`.

It outlives the server. It claims the attempt by writing pid.json (once; who comes second leaves), starts what
launch.json says, writes every line that is printed to log.jsonl with its time, and at the end writes exit.json. A
server that was killed finds out from these files, later, how the job went.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import psutil

LAUNCH, CLAIM, EXIT, LOG = "launch.json", "pid.json", "exit.json", "log.jsonl"
MAX_LINE_BYTES = 64 * 1024
DRAIN_SECONDS = 5.0


def main(folder: Path) -> int:
    """Run one attempt to its end."""
    if not claim(folder, {"pid": os.getpid(), "started": psutil.Process().create_time()}):
        return 0
    # A cancellation is sent to the whole group; this process stays to write down how the job took it.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    launch = json.loads((folder / LAUNCH).read_text(encoding="utf-8"))
    with (folder / LOG).open("ab", buffering=0) as log:
        write_atomically(folder / EXIT, _run(launch, _Log(log)))
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


class _Log:
    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self.last_stderr = ""

    def copy(self, source: IO[bytes], name: str) -> None:
        """Every line of a pipe, until it is closed."""
        while line := source.readline(MAX_LINE_BYTES):
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            self.write(text, name)

    def write(self, text: str, name: str) -> None:
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        with self._lock:
            if name == "stderr" and text.strip():
                self.last_stderr = text.strip()
            self._stream.write(json.dumps({"time": moment, "stream": name, "text": text}).encode() + b"\n")


def _run(launch: dict[str, Any], log: _Log) -> dict[str, Any]:
    try:
        process = subprocess.Popen(
            launch["argv"],
            cwd=launch["cwd"],
            env=launch["environment"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            restore_signals=True,
            preexec_fn=_default_signals,
        )
    except OSError as error:
        log.write(f"cannot start {launch['argv'][0]!r}: {error.strerror}", "stderr")
        return _result(127, log, timed_out=False)
    assert process.stdout is not None
    assert process.stderr is not None
    pipes = [
        threading.Thread(target=log.copy, args=(process.stdout, "stdout"), daemon=True),
        threading.Thread(target=log.copy, args=(process.stderr, "stderr"), daemon=True),
    ]
    for pipe in pipes:
        pipe.start()
    timed_out = False
    try:
        process.wait(launch.get("timeout_seconds"))
    except subprocess.TimeoutExpired:
        timed_out = True
        process.kill()
        process.wait()
    for pipe in pipes:
        # What a job leaves behind may keep a pipe open for ever.
        pipe.join(DRAIN_SECONDS)
    return _result(process.returncode, log, timed_out=timed_out)


def _default_signals() -> None:
    # Ignored signals would stay ignored in the job.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _result(returncode: int, log: _Log, *, timed_out: bool) -> dict[str, Any]:
    ended = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"returncode": returncode, "timed_out": timed_out, "last_stderr": log.last_stderr, "ended": ended}


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
