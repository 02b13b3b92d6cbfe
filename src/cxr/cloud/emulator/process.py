"""The server as a process beside this one: start it when it is not there, find it, stop it."""

from __future__ import annotations

import fcntl
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from cxr.cloud.emulator.settings import EmulatorSettings
from cxr.errors import Fault, NotAllowed, UsageError

POLL_SECONDS = 0.02
DEADLINE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Record:
    pid: int
    url: str


def ensure_running(
    state_dir: Path,
    *,
    port: int = 0,
    idle_exit_seconds: float | None = None,
    max_running_jobs: int | None = None,
    stand_in_epochs: int | None = None,
    stand_in: str | None = None,
    quota_automl_jobs: int | None = None,
    quota_operations_per_minute: int | None = None,
    scorer: str | None = None,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> str:
    """The URL of the emulator that works on `state_dir`, started detached when there is none.

    Two callers at once start one server. Raises Fault (port in use, no answer before the deadline, or whatever made
    the new process end) and NotAllowed when the folder cannot be written.
    """
    options: list[str] = ["--port", str(port)]
    for flag, value in (
        ("--idle-exit-seconds", idle_exit_seconds),
        ("--max-running-jobs", max_running_jobs),
        ("--stand-in-epochs", stand_in_epochs),
        ("--stand-in", stand_in),
        ("--quota-automl-jobs", quota_automl_jobs),
        ("--quota-operations-per-minute", quota_operations_per_minute),
        ("--scorer", scorer),
    ):
        if value is not None:
            options += [flag, str(value)]
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        with _starting(state_dir):
            return running_url(state_dir) or _start(state_dir, options, deadline_seconds)
    except PermissionError as error:
        raise NotAllowed(
            f"no permission to write {error.filename}", hint="choose another place with --state"
        ) from error


def running_url(state_dir: Path) -> str | None:
    """The URL of the emulator that works on `state_dir`, if one answers."""
    record = _record(state_dir)
    if record is None or server_status(record.url) is None:
        return None
    return record.url


def server_status(url: str) -> dict[str, Any] | None:
    """What a server says about itself; None when nobody, or somebody else, answers."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=5)
    try:
        connection.request("GET", "/_emulator/status")
        answer = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return answer if isinstance(answer, dict) and answer.get("service") == "cxr-emulator" else None


def change_faults(url: str, document: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The faults in force on a server, after `document` (see docs/emulator.md) has been put in force, if given.

    Raises UsageError for a document that the server refuses, Fault when no server answers.
    """
    return _control(url, "faults", "GET" if document is None else "PUT", document)


def change_project(url: str, document: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What is the matter with the projects of a server (see docs/emulator.md); otherwise as `change_faults`."""
    return _control(url, "project", "GET" if document is None else "PUT", document)


def change_outcomes(url: str, document: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The same with scripted outcomes."""
    return _control(url, "outcomes", "GET" if document is None else "PUT", document)


def clear_outcomes(url: str) -> dict[str, Any]:
    """No outcomes any more, also not for jobs that exist. Raises Fault when no server answers."""
    return _control(url, "outcomes", "DELETE", None)


def _control(url: str, what: str, method: str, document: Mapping[str, Any] | None) -> dict[str, Any]:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=20)
    try:
        connection.request(method, f"/_emulator/{what}", None if document is None else json.dumps(document))
        response = connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Fault(f"no answer from the emulator at {url}", hint="cxr emulator status") from error
    finally:
        connection.close()
    if response.status != 200:
        raise UsageError(f"the emulator refuses the {what}: {answer['error']['message']}", hint="see docs/emulator.md")
    return answer


def stop(state_dir: Path, *, deadline_seconds: float = 30.0) -> bool:
    """End the server that works on `state_dir`, by its recorded id; False when none was running.

    Raises Fault when it does not end before the deadline.
    """
    record = _record(state_dir)
    if record is None:
        return False
    try:
        process = psutil.Process(record.pid)
        process.terminate()
        # When the server is a child of this process, its parent must collect it, or it stays as a zombie.
        process.wait(deadline_seconds)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        raise Fault(
            f"the emulator (process {record.pid}) did not stop within {deadline_seconds:g} seconds",
            hint=f"see {EmulatorSettings(state_dir).log_file}",
        ) from None
    return True


def _record(state_dir: Path) -> _Record | None:
    settings = EmulatorSettings(state_dir)
    if not _is_locked(settings.lock_file):
        return None
    try:
        raw = json.loads(settings.server_file.read_text(encoding="utf-8"))
        return _Record(int(raw["pid"]), str(raw["url"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_locked(path: Path) -> bool:
    # The server holds this lock for as long as it lives, however it ends.
    try:
        with path.open("r+") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@contextmanager
def _starting(state_dir: Path) -> Iterator[None]:
    with (state_dir / "start.lock").open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _start(state_dir: Path, options: Sequence[str], deadline_seconds: float) -> str:
    output = state_dir / "server.out"
    command = [sys.executable, "-m", "cxr.cloud.emulator", "--state", str(state_dir), *options]
    with output.open("wb") as stream:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
        )
    deadline = time.monotonic() + deadline_seconds
    while time.monotonic() < deadline:
        if (url := running_url(state_dir)) is not None:
            return url
        if process.poll() is not None:
            # Somebody may have started one by hand at the same moment.
            return running_url(state_dir) or _raise_start_error(output, process.returncode)
        time.sleep(POLL_SECONDS)
    process.kill()
    process.wait()
    raise Fault(
        f"the emulator did not answer within {deadline_seconds:g} seconds", hint=f"see {state_dir / 'server.log'}"
    )


def _raise_start_error(output: Path, returncode: int) -> str:
    lines = [line for line in output.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    hints = [line.strip().removeprefix("next: ") for line in lines if line.strip().startswith("next: ")]
    words = [line for line in lines if not line.strip().startswith("next: ")]
    reason = words[-1].split(": ", 1)[-1] if words else f"it ended with exit code {returncode}"
    kind = UsageError if returncode == UsageError.exit_code else Fault
    raise kind(f"the emulator could not be started: {reason}", hint=hints[-1] if hints else f"see {output}")


def environment(url: str) -> dict[str, str]:
    """The environment variables that point Google's storage SDK at the emulator."""
    return {"STORAGE_EMULATOR_HOST": url, "DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA": "true"}


def environment_lines(url: str) -> list[str]:
    """The same as shell lines."""
    return [f"export {name}={value}" for name, value in environment(url).items()]


def sdk_lines(url: str, project: str, region: str) -> list[str]:
    """Python lines that point Google's Vertex AI SDK at the emulator."""
    return [
        "from google.auth.credentials import AnonymousCredentials",
        "from google.cloud import aiplatform",
        f'aiplatform.init(api_endpoint="{url}", api_transport="rest", credentials=AnonymousCredentials(),',
        f'                project="{project}", location="{region}")',
    ]
