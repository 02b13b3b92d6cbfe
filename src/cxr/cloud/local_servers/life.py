"""The life of a server on this machine, seen from inside: the only one for its state folder, bound to a port of
127.0.0.1, findable while it answers."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import logging.handlers
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import psutil

from cxr.cloud.local_servers.process import LocalServer, ServerFiles
from cxr.errors import Fault, UsageError
from cxr.files import write_text_atomically

HOST = "127.0.0.1"
LOCK_SECONDS = 1.0
log = logging.getLogger(__name__)


def ready(files: ServerFiles, url: str, on_ready: Callable[[str], None]) -> None:
    """Write down where this process answers, and say so: in the log, and to `on_ready`."""
    started = datetime.fromtimestamp(psutil.Process().create_time(), tz=UTC)
    record = {"pid": os.getpid(), "port": int(url.rsplit(":", 1)[1]), "url": url, "started": started.isoformat()}
    write_text_atomically(files.server_file, json.dumps(record) + "\n")
    log.info("ready at %s", url)
    on_ready(url)


@contextmanager
def sole_server(server: LocalServer, files: ServerFiles) -> Iterator[None]:
    """Hold the lock of the state folder. Raises UsageError when another server works on it."""
    with files.lock_file.open("a") as stream:
        # Whoever asks whether a server runs holds the lock for an instant: one refusal proves nothing.
        deadline = time.monotonic() + LOCK_SECONDS
        while not _try_lock(stream):
            if time.monotonic() >= deadline:
                raise UsageError(
                    f"another {server.name} already works on {files.state_dir}",
                    hint=f"{server.status_command} --state {files.state_dir}",
                )
            time.sleep(0.01)
        files.server_file.unlink(missing_ok=True)
        yield


def _try_lock(stream: IO[str]) -> bool:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def bound_socket(server: LocalServer, files: ServerFiles, port: int) -> Iterator[socket.socket]:
    """A socket on `port`; 0 is the port of the last run when it is free, otherwise any. Raises Fault when the port is
    taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        _bind(listener, server, files, port)
        write_text_atomically(files.port_file, str(listener.getsockname()[1]))
        yield listener
    finally:
        listener.close()


def _bind(listener: socket.socket, server: LocalServer, files: ServerFiles, port: int) -> None:
    if port:
        try:
            listener.bind((HOST, port))
        except OSError as error:
            raise _port_error(port, error, f"{server.start_command} --port 0 (any free port)") from error
        return
    try:
        # Jobs that outlived the last server look for it on its port.
        listener.bind((HOST, _last_port(files.port_file)))
    except OSError:
        listener.bind((HOST, 0))


def _last_port(path: Path) -> int:
    try:
        port = int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0
    return port if 0 < port < 65536 else 0


def _port_error(port: int, error: OSError, hint: str) -> Fault:
    if error.errno == errno.EADDRINUSE:
        return Fault(f"port {port} is in use by another program", hint=hint)
    if error.errno == errno.EACCES:
        return Fault(f"no permission to listen on port {port}", hint=hint)
    return Fault(f"cannot listen on port {port}: {error.strerror}", hint=hint)


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """All that is logged goes to a file, which does not grow for ever."""
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=5 << 20, backupCount=2, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()
