"""A server as a process beside this one: start it when it is not there, find it, talk to it, stop it.

One for each state folder: the running server holds a lock there and says in a file where it answers.
"""

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

from cxr.errors import Fault, NotAllowed, UsageError
from cxr.extras import require_extras
from cxr.files import private_folder

POLL_SECONDS = 0.02
DEADLINE_SECONDS = 60.0
ANSWER_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """What a server keeps in its state folder to be found."""

    state_dir: Path

    @property
    def server_file(self) -> Path:
        """`{"pid", "port", "url", "started"}` of the running server."""
        return self.state_dir / "server.json"

    @property
    def lock_file(self) -> Path:
        """Held by the running server for as long as it lives."""
        return self.state_dir / "server.lock"

    @property
    def port_file(self) -> Path:
        """The port of the last run: who outlived the server looks for it there."""
        return self.state_dir / "port"

    @property
    def log_file(self) -> Path:
        """The server's own log."""
        return self.state_dir / "server.log"


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A kind of server: the module that is run and the extra with all it takes, what it calls itself, its folder of
    control URLs, and the words for people: its name after "the", the commands that start it and say how it is, and the
    page about it."""

    module: str
    extra: str
    service: str
    control_path: str
    name: str
    start_command: str
    status_command: str
    page: str

    def ensure_running(self, state_dir: Path, options: Mapping[str, object], deadline_seconds: float) -> str:
        """The URL of the server that works on `state_dir`, started detached with `options` (None: left out) when there
        is none.

        Two callers at once start one server. Raises Fault (port in use, no answer before the deadline, or whatever made
        the new process end), NotAllowed when the folder cannot be written, and MissingPackage, before anything is
        written, when its extra is not installed.
        """
        if self.running_url(state_dir) is None:
            require_extras(self.extra)
        arguments = [text for flag, value in options.items() if value is not None for text in (flag, str(value))]
        try:
            private_folder(state_dir)
            with _starting(state_dir):
                return self.running_url(state_dir) or self._start(state_dir, arguments, deadline_seconds)
        except PermissionError as error:
            raise NotAllowed(
                f"no permission to write {error.filename}", hint="choose another place with --state"
            ) from error

    def running_url(self, state_dir: Path) -> str | None:
        """The URL of the server that works on `state_dir`, if one answers."""
        record = _record(ServerFiles(state_dir))
        if record is None or self.status(record.url) is None:
            return None
        return record.url

    def status(self, url: str) -> dict[str, Any] | None:
        """What a server says about itself; None when nobody, or somebody else, answers."""
        address = urlsplit(url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=ANSWER_SECONDS)
        try:
            connection.request("GET", f"{self.control_path}/status")
            answer = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()
        return answer if isinstance(answer, dict) and answer.get("service") == self.service else None

    def control(self, url: str, what: str, method: str, document: Mapping[str, Any] | None) -> dict[str, Any]:
        """The answer to a request for one of the control URLs. Raises UsageError for a document that the server
        refuses, Fault when no server answers."""
        address = urlsplit(url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=ANSWER_SECONDS)
        try:
            body = None if document is None else json.dumps(document)
            connection.request(method, f"{self.control_path}/{what}", body)
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Fault(f"no answer from the {self.name} at {url}", hint=self.status_command) from error
        finally:
            connection.close()
        if response.status != 200:
            words = f"the {self.name} refuses the {what}: {answer['error']['message']}"
            raise UsageError(words, hint=f"see {self.page}")
        return answer

    def stop(self, state_dir: Path, deadline_seconds: float) -> bool:
        """End the server that works on `state_dir`, by its recorded id; False when none was running.

        Raises Fault when it does not end before the deadline.
        """
        files = ServerFiles(state_dir)
        record = _record(files)
        if record is None:
            return False
        import psutil  # comes with the extras that have servers; who only asks whether one runs does without

        try:
            process = psutil.Process(record.pid)
            process.terminate()
            # When the server is a child of this process, its parent must collect it, or it stays as a zombie.
            process.wait(deadline_seconds)
        except psutil.NoSuchProcess:
            return True
        except psutil.TimeoutExpired:
            raise Fault(
                f"the {self.name} (process {record.pid}) did not stop within {deadline_seconds:g} seconds",
                hint=f"see {files.log_file}",
            ) from None
        return True

    def _start(self, state_dir: Path, options: Sequence[str], deadline_seconds: float) -> str:
        output = state_dir / "server.out"
        command = [sys.executable, "-m", self.module, "--state", str(state_dir), *options]
        with output.open("wb") as stream:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
            )
        deadline = time.monotonic() + deadline_seconds
        while time.monotonic() < deadline:
            if (url := self.running_url(state_dir)) is not None:
                return url
            if process.poll() is not None:
                # Somebody may have started one by hand at the same moment.
                return self.running_url(state_dir) or self._raise_start_error(output, process.returncode)
            time.sleep(POLL_SECONDS)
        process.kill()
        process.wait()
        raise Fault(
            f"the {self.name} did not answer within {deadline_seconds:g} seconds",
            hint=f"see {ServerFiles(state_dir).log_file}",
        )

    def _raise_start_error(self, output: Path, returncode: int) -> str:
        lines = [line for line in output.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        hints = [line.strip().removeprefix("next: ") for line in lines if line.strip().startswith("next: ")]
        words = [line for line in lines if not line.strip().startswith("next: ")]
        reason = words[-1].split(": ", 1)[-1] if words else f"it ended with exit code {returncode}"
        kind = UsageError if returncode == UsageError.exit_code else Fault
        raise kind(f"the {self.name} could not be started: {reason}", hint=hints[-1] if hints else f"see {output}")


@dataclass(frozen=True, slots=True)
class _Record:
    pid: int
    url: str


def _record(files: ServerFiles) -> _Record | None:
    if not is_locked(files.lock_file):
        return None
    try:
        raw = json.loads(files.server_file.read_text(encoding="utf-8"))
        return _Record(int(raw["pid"]), str(raw["url"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_locked(path: Path) -> bool:
    """Whether a server lives that holds this lock: it does so for as long as it lives, however it ends."""
    try:
        with path.open("r+") as stream:
            # Shared: two who ask at once do not take each other for the server.
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
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
