"""The server's life: one for each state folder; its jobs end with it."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from cxr.cloud.aws.local.application import Application
from cxr.cloud.aws.local.calls.automl import AutoMLCalls
from cxr.cloud.aws.local.calls.call import Handler
from cxr.cloud.aws.local.calls.training import TrainingCalls
from cxr.cloud.aws.local.calls.transform import TransformCalls
from cxr.cloud.aws.local.calls.tuning import TuningCalls
from cxr.cloud.aws.local.control import Control
from cxr.cloud.aws.local.jobs.training_job import Circumstances
from cxr.cloud.aws.local.jobs.work import JobRunner
from cxr.cloud.aws.local.moto_state import MotoState
from cxr.cloud.aws.local.outcomes import Outcomes
from cxr.cloud.aws.local.process import AWS_LOCAL, environment
from cxr.cloud.aws.local.settings import DEFAULT_REGION, LocalSettings
from cxr.cloud.local_servers.life import HOST, bound_socket, logging_to, ready, sole_server
from cxr.cloud.local_servers.process import ServerFiles
from cxr.files import private_folder

log = logging.getLogger(__name__)
#: How long jobs may take to end when the server does.
CLOSE_SECONDS = 10.0


class _RequestHandler(MotoRequestHandler):
    """moto's, without a line for each request."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing."""


def serve(settings: LocalSettings, on_ready: Callable[[str], None]) -> None:
    """Run a server until SIGTERM, SIGINT or idleness; `on_ready(url)` is called when it answers.

    Raises Fault when the port is taken, UsageError when another server works on the same state folder.
    """
    settings = replace(settings, state_dir=settings.state_dir.resolve())
    private_folder(settings.state_dir)
    files = ServerFiles(settings.state_dir)
    with (
        sole_server(AWS_LOCAL, files),
        bound_socket(AWS_LOCAL, files, settings.port) as listener,
        logging_to(files.log_file),
    ):
        # Files of jobs that nobody remembers.
        for folder in (settings.jobs_dir, settings.automl_dir, settings.transform_dir):
            shutil.rmtree(folder, ignore_errors=True)
        listener.listen()
        url = f"http://{HOST}:{listener.getsockname()[1]}"
        _forget_the_user(url)
        runner = JobRunner(settings.max_running_jobs)
        application = _application(settings, url, runner)
        server = make_server(HOST, 0, application, threaded=True, request_handler=_RequestHandler, fd=listener.fileno())
        try:
            _run(server, settings, application, runner, lambda: ready(files, url, on_ready))
        finally:
            files.server_file.unlink(missing_ok=True)
            runner.close(CLOSE_SECONDS)
            log.info("stopped")


def _application(settings: LocalSettings, url: str, runner: JobRunner) -> Application:
    moto, outcomes = MotoState(url), Outcomes()
    moto.make_instance_profile()
    around = Circumstances(settings, moto, outcomes)
    training = TrainingCalls(around, runner)
    handlers: Mapping[str, Handler] = {
        **training.handlers,
        **TuningCalls(around, runner, training).handlers,
        **AutoMLCalls(around, runner).handlers,
        **TransformCalls(around, runner).handlers,
    }
    control = Control(runner, outcomes, url)
    return Application(DomainDispatcherApplication(create_backend_app), moto.lock, handlers, control)


def _forget_the_user(url: str) -> None:
    """No profile, key or endpoint of the user's shell is this server's business, or its jobs'."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(environment(url, DEFAULT_REGION))


def _run(
    server: BaseWSGIServer,
    settings: LocalSettings,
    application: Application,
    runner: JobRunner,
    on_started: Callable[[], None],
) -> None:
    stopping = threading.Event()

    def stop(_number: int, _frame: Any) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    on_started()
    limit = settings.idle_exit_seconds
    while not stopping.wait(1.0 if limit is None else min(1.0, limit / 4)):
        busy = runner.running + runner.waiting
        if limit is not None and application.idle_seconds >= limit and not busy:
            log.info("no request and no job for %g seconds: leaving", limit)
            break
    # Requests of jobs are answered until the jobs have ended.
    runner.close(CLOSE_SECONDS)
    server.shutdown()
