"""`python -m cxr.cloud.aws.local`: Amazon's APIs on this machine, as a process."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from cxr.cloud.aws.local.settings import STOP_GRACE_SECONDS, LocalSettings
from cxr.cloud.local_servers.running import run_server


def main() -> int:
    """Serve until told to stop. Prints the URL on stdout when ready; the exit code is the error's."""
    settings = _settings(_parser().parse_args())

    def start(on_ready: Callable[[str], None]) -> None:
        from cxr.cloud.aws.local.server import serve  # needs the extra's packages, which may be missing

        serve(settings, on_ready)

    return run_server(start, "aws-local")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cxr.cloud.aws.local", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="folder for jobs' files; buckets are in memory")
    parser.add_argument("--port", type=int, default=0, help="0: the last one when free, otherwise any")
    parser.add_argument("--idle-exit-seconds", type=float, help="leave after so long without a request or a job")
    parser.add_argument("--max-running-jobs", type=int, help="more than these wait (1 by default)")
    parser.add_argument("--stand-in-epochs", type=int, help="passed on to the stand-in for AutoML")
    parser.add_argument("--stand-in", help="the command line of the stand-in for AutoML")
    parser.add_argument("--scorer", help="the command line of the program that predicts with its models")
    parser.add_argument(
        "--stop-grace-seconds",
        type=float,
        default=STOP_GRACE_SECONDS,
        help="between SIGTERM and SIGKILL (the service: 120)",
    )
    return parser


def _settings(arguments: argparse.Namespace) -> LocalSettings:
    settings = LocalSettings(
        state_dir=arguments.state,
        port=arguments.port,
        idle_exit_seconds=arguments.idle_exit_seconds,
        stand_in_epochs=arguments.stand_in_epochs,
        stop_grace_seconds=arguments.stop_grace_seconds,
    )
    if arguments.max_running_jobs is not None:
        settings = replace(settings, max_running_jobs=max(1, arguments.max_running_jobs))
    if arguments.stand_in:
        settings = replace(settings, stand_in=tuple(shlex.split(arguments.stand_in)))
    if arguments.scorer:
        settings = replace(settings, scorer=tuple(shlex.split(arguments.scorer)))
    return settings


if __name__ == "__main__":
    sys.exit(main())
