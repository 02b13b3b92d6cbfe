"""Runs one client in a process of its own and tells what it took and what the server saw."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from upload_peers.files import Files
from upload_peers.peers import Call
from upload_peers.servers import PROJECT, Counts, Server

BENCHMARKS = Path(__file__).resolve().parents[1]
#: A client that takes longer is ended and reported as not measured.
DEADLINE_S = 900.0


class NotMeasured(Exception):  # noqa: N818  (the reason is told in the client's row)
    """A client failed or took too long."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one run took. Memory in MB: `peak` of the whole process, `beyond` what it had after its imports (programs
    have none: the same)."""

    seconds: float
    cpu: float
    peak: float
    beyond: float
    counts: Counts | None = None


def run_client(call: Call, server: Server, files: Files, *, deadline_s: float = DEADLINE_S) -> Usage:
    """Run it to its end. Raises NotMeasured with the last thing that it said."""
    server.counts()
    with tempfile.TemporaryDirectory(prefix="cxr-client-", dir=files.folder.parent) as name:
        scratch = Path(name)
        result = scratch / "usage.json"
        if call.module:
            job = scratch / "job.json"
            job.write_text(json.dumps({"scratch": name, **call.job}))
            argv = [*call.argv, "-m", call.module, str(job), str(result)]
        else:
            watcher = [sys.executable, "-I", str(BENCHMARKS / "upload_peers" / "watched_command.py")]
            argv = [*watcher, str(result), str(files.paths), *call.argv]
        _run(argv, client_environment(scratch) | call.environment, scratch, deadline_s)
        seen = json.loads(result.read_text())
    beyond = seen["peak_kib"] - seen["base_kib"]
    return Usage(seen["seconds"], seen["cpu"], seen["peak_kib"] * 1024 / 1e6, beyond * 1024 / 1e6, server.counts())


def client_environment(scratch: Path) -> dict[str, str]:
    """No settings and credentials of the user's; these modules can be imported."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("CXR_", "AWS_", "GOOGLE_", "CLOUDSDK_", "RCLONE_", "STORAGE_EMULATOR"))
    }
    paths = [str(BENCHMARKS), *filter(None, [os.environ.get("PYTHONPATH")])]
    own = {"PYTHONPATH": os.pathsep.join(paths), "CLOUDSDK_CONFIG": str(scratch / "gcloud")}
    nowhere = str(scratch / "none")
    return (
        kept
        | own
        | {
            "AWS_CONFIG_FILE": nowhere,
            "AWS_SHARED_CREDENTIALS_FILE": nowhere,
            "AWS_ACCESS_KEY_ID": "benchmark",
            "AWS_SECRET_ACCESS_KEY": "benchmark",
            "AWS_DEFAULT_REGION": "us-east-1",
            "GOOGLE_CLOUD_PROJECT": PROJECT,
        }
    )


def _run(argv: list[str], environment: dict[str, str], scratch: Path, deadline_s: float) -> None:
    said = scratch / "said"
    with said.open("wb") as stream:
        # A group of its own, so that a client's own helpers end with it.
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env=environment,
            cwd=scratch,
            start_new_session=True,
        )
        try:
            code = process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            raise NotMeasured(f"it took longer than {deadline_s:.0f} s") from None
        finally:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if code:
        lines = [line.strip() for line in said.read_text(errors="replace").splitlines() if len(line.strip()) > 1]
        raise NotMeasured(lines[-1][:200] if lines else f"exit code {code}")
