"""`python -m cxr.cloud.emulator`: the server as a process. `cxr emulator start` is the same for people."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from cxr.cloud.emulator.settings import DEFAULT_REGION, EmulatorSettings
from cxr.cloud.local_servers.running import run_server


def main() -> int:
    """Serve until told to stop. Prints the URL on stdout when ready; the exit code is the error's."""
    settings = _settings(_parser().parse_args())

    def start(on_ready: Callable[[str], None]) -> None:
        from cxr.cloud.emulator.server import serve  # needs the extra's packages, which may be missing

        serve(settings, on_ready)

    return run_server(start, "gcp")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cxr.cloud.emulator", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="folder for everything the emulator keeps")
    parser.add_argument("--port", type=int, default=0, help="0: the last one when free, otherwise any")
    parser.add_argument("--idle-exit-seconds", type=float, help="leave after so long without a request or a job")
    parser.add_argument("--max-running-jobs", type=int, help="more than these wait")
    parser.add_argument("--stand-in-epochs", type=int, help="passed on to the AutoML stand-in")
    parser.add_argument("--stand-in", help=f"the AutoML stand-in's command line (region {DEFAULT_REGION} by default)")
    parser.add_argument("--quota-automl-jobs", type=int, help="refuse more AutoML jobs at a time (the service: 5)")
    parser.add_argument(
        "--quota-operations-per-minute", type=int, help="refuse more submissions a minute (the service: 60)"
    )
    parser.add_argument("--scorer", help="the command line of the program that predicts with cloud models")
    return parser


def _settings(arguments: argparse.Namespace) -> EmulatorSettings:
    settings = EmulatorSettings(
        state_dir=arguments.state,
        port=arguments.port,
        idle_exit_seconds=arguments.idle_exit_seconds,
        stand_in_epochs=arguments.stand_in_epochs,
        quota_automl_jobs=arguments.quota_automl_jobs,
        quota_operations_per_minute=arguments.quota_operations_per_minute,
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
