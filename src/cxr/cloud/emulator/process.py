"""The server as a process beside this one: start it when it is not there, find it, stop it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cxr.cloud.local_servers.process import DEADLINE_SECONDS, LocalServer

EMULATOR = LocalServer(
    module="cxr.cloud.emulator",
    extra="gcp",
    service="cxr-emulator",
    control_path="/_emulator",
    name="emulator",
    start_command="cxr emulator start",
    status_command="cxr emulator status",
    page="docs/emulator.md",
)


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
    options = {
        "--port": port,
        "--idle-exit-seconds": idle_exit_seconds,
        "--max-running-jobs": max_running_jobs,
        "--stand-in-epochs": stand_in_epochs,
        "--stand-in": stand_in,
        "--quota-automl-jobs": quota_automl_jobs,
        "--quota-operations-per-minute": quota_operations_per_minute,
        "--scorer": scorer,
    }
    return EMULATOR.ensure_running(state_dir, options, deadline_seconds)


def running_url(state_dir: Path) -> str | None:
    """The URL of the emulator that works on `state_dir`, if one answers."""
    return EMULATOR.running_url(state_dir)


def server_status(url: str) -> dict[str, Any] | None:
    """What a server says about itself; None when nobody, or somebody else, answers."""
    return EMULATOR.status(url)


def change_faults(url: str, document: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The faults in force on a server, after `document` (see docs/emulator.md) has been put in force, if given.

    Raises UsageError for a document that the server refuses, Fault when no server answers.
    """
    return EMULATOR.control(url, "faults", "GET" if document is None else "PUT", document)


def change_project(url: str, document: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What is the matter with the projects of a server (see docs/emulator.md); otherwise as `change_faults`."""
    return EMULATOR.control(url, "project", "GET" if document is None else "PUT", document)


def change_outcomes(url: str, document: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The same with scripted outcomes."""
    return EMULATOR.control(url, "outcomes", "GET" if document is None else "PUT", document)


def clear_outcomes(url: str) -> dict[str, Any]:
    """No outcomes any more, also not for jobs that exist. Raises Fault when no server answers."""
    return EMULATOR.control(url, "outcomes", "DELETE", None)


def stop(state_dir: Path, *, deadline_seconds: float = 30.0) -> bool:
    """End the server that works on `state_dir`, by its recorded id; False when none was running.

    Raises Fault when it does not end before the deadline.
    """
    return EMULATOR.stop(state_dir, deadline_seconds)


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
