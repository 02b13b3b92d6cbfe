"""The server's life: one for each state folder, ready when server.json says so, gone when it is removed."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import logging
import logging.handlers
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import psutil

from cxr.cloud.emulator.app import Application
from cxr.cloud.emulator.services import Services
from cxr.cloud.emulator.settings import EmulatorSettings
from cxr.errors import Fault, UsageError
from cxr.files import write_text_atomically

HOST = "127.0.0.1"
LOCK_SECONDS = 1.0
#: Connections that wait to be taken.
BACKLOG = 2048
#: How long requests under way may take when the server is told to stop.
GRACE_SECONDS = 3.0
log = logging.getLogger(__name__)


def serve(settings: EmulatorSettings, on_ready: Callable[[str], None]) -> None:
    """Run a server until SIGTERM, SIGINT or idleness; `on_ready(url)` is called when it answers.

    Raises Fault when the port is taken, UsageError when another server works on the same state folder.
    """
    settings = replace(settings, state_dir=settings.state_dir.resolve())
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    with _sole_server(settings), _bound_socket(settings) as listener, _logging(settings.log_file):
        url = f"http://{HOST}:{listener.getsockname()[1]}"
        write_text_atomically(settings.port_file, str(listener.getsockname()[1]))
        services = Services(settings)
        try:
            services.start(url)
            _run(settings, services, listener, lambda: _ready(settings, url, on_ready))
        finally:
            settings.server_file.unlink(missing_ok=True)
            services.stop()
            log.info("stopped")


def _run(
    settings: EmulatorSettings, services: Services, listener: socket.socket, on_started: Callable[[], None]
) -> None:
    application = Application(services, settings.uploads_dir)
    asyncio.run(_serve(settings, services, application, listener, on_started))


async def _serve(
    settings: EmulatorSettings,
    services: Services,
    application: Application,
    listener: socket.socket,
    on_started: Callable[[], None],
) -> None:
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    server = await loop.create_server(application.on_connection, sock=listener, backlog=BACKLOG)
    on_started()
    await _until_stopped_or_idle(settings.idle_exit_seconds, stopping, application, services)
    server.close()
    await application.close(GRACE_SECONDS)


async def _until_stopped_or_idle(
    limit: float | None, stopping: asyncio.Event, application: Application, services: Services
) -> None:
    while True:
        try:
            await asyncio.wait_for(stopping.wait(), None if limit is None else min(1.0, limit / 4))
            return
        except TimeoutError:
            assert limit is not None
            if application.idle_seconds >= limit and not services.busy():
                log.info("no request and no job for %g seconds: leaving", limit)
                return


def _ready(settings: EmulatorSettings, url: str, on_ready: Callable[[str], None]) -> None:
    started = datetime.fromtimestamp(psutil.Process().create_time(), tz=UTC)
    record = {"pid": os.getpid(), "port": int(url.rsplit(":", 1)[1]), "url": url, "started": started.isoformat()}
    write_text_atomically(settings.server_file, json.dumps(record) + "\n")
    log.info("ready at %s", url)
    on_ready(url)


@contextmanager
def _sole_server(settings: EmulatorSettings) -> Iterator[None]:
    with settings.lock_file.open("a") as stream:
        # Whoever asks whether a server runs holds the lock for an instant: one refusal proves nothing.
        deadline = time.monotonic() + LOCK_SECONDS
        while not _try_lock(stream):
            if time.monotonic() >= deadline:
                raise UsageError(
                    f"another emulator already works on {settings.state_dir}",
                    hint=f"cxr emulator status --state {settings.state_dir}",
                )
            time.sleep(0.01)
        settings.server_file.unlink(missing_ok=True)
        yield


def _try_lock(stream: IO[str]) -> bool:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _bound_socket(settings: EmulatorSettings) -> Iterator[socket.socket]:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        _bind(listener, settings)
        yield listener
    finally:
        listener.close()


def _bind(listener: socket.socket, settings: EmulatorSettings) -> None:
    if settings.port:
        try:
            listener.bind((HOST, settings.port))
        except OSError as error:
            raise _port_error(settings.port, error) from error
        return
    try:
        # Jobs that outlived the last server look for it on its port.
        listener.bind((HOST, _last_port(settings.port_file)))
    except OSError:
        listener.bind((HOST, 0))


def _last_port(path: Path) -> int:
    try:
        port = int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0
    return port if 0 < port < 65536 else 0


def _port_error(port: int, error: OSError) -> Fault:
    if error.errno == errno.EADDRINUSE:
        return Fault(f"port {port} is in use by another program", hint="cxr emulator start --port 0 (any free port)")
    if error.errno == errno.EACCES:
        return Fault(f"no permission to listen on port {port}", hint="cxr emulator start --port 0 (any free port)")
    return Fault(f"cannot listen on port {port}: {error.strerror}", hint="cxr emulator start --port 0 (any free port)")


@contextmanager
def _logging(path: Path) -> Iterator[None]:
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
