"""The server as a process beside this one: start it when it is not there, find it, stop it.

Nothing of moto is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cxr.cloud.aws.local.settings import ACCESS_KEY, SECRET_KEY
from cxr.cloud.local_servers.process import DEADLINE_SECONDS, LocalServer

AWS_LOCAL = LocalServer(
    module="cxr.cloud.aws.local",
    extra="aws-local",
    service="cxr-aws-local",
    control_path="/_aws_local",
    name="local stand-in for Amazon",
    start_command="python -m cxr.cloud.aws.local --state FOLDER",
    status_command="python -m cxr.cloud.aws.local",
    page="docs/aws.md",
)


def ensure_running(
    state_dir: Path,
    *,
    port: int = 0,
    idle_exit_seconds: float | None = None,
    max_running_jobs: int | None = None,
    stand_in_epochs: int | None = None,
    stand_in: str | None = None,
    scorer: str | None = None,
    stop_grace_seconds: float | None = None,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> str:
    """The URL of the server that works on `state_dir`, started detached when there is none.

    Two callers at once start one server. It forgets buckets and jobs when it ends. Raises Fault (port in use, no
    answer before the deadline, moto not installed, or whatever made the new process end) and NotAllowed when the
    folder cannot be written.
    """
    options = {
        "--port": port,
        "--idle-exit-seconds": idle_exit_seconds,
        "--max-running-jobs": max_running_jobs,
        "--stand-in-epochs": stand_in_epochs,
        "--stand-in": stand_in,
        "--scorer": scorer,
        "--stop-grace-seconds": stop_grace_seconds,
    }
    return AWS_LOCAL.ensure_running(state_dir, options, deadline_seconds)


def running_url(state_dir: Path) -> str | None:
    """The URL of the server that works on `state_dir`, if one answers."""
    return AWS_LOCAL.running_url(state_dir)


def server_status(url: str) -> dict[str, Any] | None:
    """What a server says about itself; None when nobody, or somebody else, answers."""
    return AWS_LOCAL.status(url)


def stop(state_dir: Path, *, deadline_seconds: float = 30.0) -> bool:
    """End the server that works on `state_dir` and its jobs; False when none was running.

    Raises Fault when it does not end before the deadline.
    """
    return AWS_LOCAL.stop(state_dir, deadline_seconds)


def change_outcomes(url: str, document: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The scripted outcomes of a server (see `outcomes`), after `document` has been put in force, if given.

    Raises UsageError for a document that the server refuses, Fault when no server answers.
    """
    return AWS_LOCAL.control(url, "outcomes", "GET" if document is None else "PUT", document)


def environment(url: str, region: str) -> dict[str, str]:
    """The environment variables that point an unmodified boto3 at a server, and away from the user's credentials."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
