"""The server's life: one for each state folder, ready when server.json says so, gone when it is removed."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from dataclasses import replace

from cxr.cloud.emulator.app import Application
from cxr.cloud.emulator.process import EMULATOR
from cxr.cloud.emulator.services import Services
from cxr.cloud.emulator.settings import EmulatorSettings
from cxr.cloud.local_servers.life import HOST, bound_socket, logging_to, ready, sole_server
from cxr.cloud.local_servers.process import ServerFiles
from cxr.files import private_folder

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
    private_folder(settings.state_dir)
    files = ServerFiles(settings.state_dir)
    with (
        sole_server(EMULATOR, files),
        bound_socket(EMULATOR, files, settings.port) as listener,
        logging_to(files.log_file),
    ):
        url = f"http://{HOST}:{listener.getsockname()[1]}"
        services = Services(settings)
        try:
            services.start(url)
            _run(settings, services, listener, lambda: ready(files, url, on_ready))
        finally:
            files.server_file.unlink(missing_ok=True)
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
