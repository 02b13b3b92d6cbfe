"""A working folder with an emulator of its own, in which jobs are started behind cxr's back, with the SDK alone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from typer.testing import CliRunner

from cxr.cli.main import app
from cxr.cloud.connection import Connection
from cxr.cloud.journal import Journal
from cxr.cloud.vertex.clients import job_client
from cxr.errors import CxrError
from cxr.settings import Settings

#: A shell's line that reports a trial's val_auc: 0.8 and the trial's number behind it.
MEASURE = """printf '{"val_auc":"0.8%s"}\\n' "$CLOUD_ML_TRIAL_ID" > "$CLOUD_ML_HP_METRIC_FILE" """


@dataclass(frozen=True)
class Said:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str
    error: CxrError | None

    @property
    def data(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class JobSite:
    """Where jobs are started and followed."""

    folder: Path
    connection: Connection

    @property
    def state_dir(self) -> Path:
        return self.folder / ".cxr"

    @property
    def settings(self) -> Settings:
        return Settings(state_dir=self.state_dir)

    @property
    def journal(self) -> Journal:
        return Journal(self.settings.journal_path)

    def cxr(self, *args: str, state_dir: Path | None = None) -> Said:
        """A cloud command, in this process: the SDK takes two seconds to import."""
        where = ["--state-dir", str(state_dir or self.state_dir)]
        result = CliRunner().invoke(app, ["cloud", *args, *where])
        error = result.exception if isinstance(result.exception, CxrError) else None
        if result.exception is not None and error is None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(error.exit_code if error else result.exit_code, result.stdout, result.stderr, error)

    def emulator(self, path: str, document: Any = None) -> None:
        """Set faults or outcomes; without a document, clear them."""
        url = f"{self.connection.endpoint}/_emulator/{path}"
        answer = requests.delete(url, timeout=10) if document is None else requests.put(url, json=document, timeout=10)
        assert answer.status_code == 200, answer.text

    def custom(self, script: str, *, labels: dict[str, str] | None = None, timeout_s: int = 600, out: str = "") -> str:
        """Start a custom job that runs a shell script; its resource name."""
        spec = {**self._spec(script), "scheduling": {"timeout": {"seconds": timeout_s}}}
        if out:
            spec["base_output_directory"] = {"output_uri_prefix": out}
        job = {"display_name": "elsewhere", "labels": labels or {}, "job_spec": spec}
        return str(job_client(self.connection).create_custom_job(parent=self.connection.parent, custom_job=job).name)

    def tuning(self, script: str, *, labels: dict[str, str] | None = None, trials: int = 2) -> str:
        """Start a tuning job of two trials at once; its resource name."""
        parameter = {"parameter_id": "dropout", "double_value_spec": {"min_value": 0.0, "max_value": 0.5}}
        job = {
            "display_name": "elsewhere",
            "labels": labels or {},
            "max_trial_count": trials,
            "parallel_trial_count": min(2, trials),
            "study_spec": {"metrics": [{"metric_id": "val_auc", "goal": "MAXIMIZE"}], "parameters": [parameter]},
            "trial_job_spec": self._spec(script),
        }
        made = job_client(self.connection).create_hyperparameter_tuning_job(
            parent=self.connection.parent, hyperparameter_tuning_job=job
        )
        return str(made.name)

    def put(self, name: str, data: bytes = b"x") -> None:
        """An object below the prefix."""
        self.connection.store().put_bytes(name, data)

    def names(self, prefix: str = "") -> set[str]:
        """The objects below the prefix."""
        return {info.name for info in self.connection.store().list(prefix)}

    def _spec(self, script: str) -> dict[str, Any]:
        machine = {"machine_type": "g2-standard-4", "accelerator_type": "NVIDIA_L4", "accelerator_count": 1}
        container = {"image_uri": "docker.io/library/python:3.11", "command": ["sh", "-c", script, "job"]}
        pool = {"machine_spec": machine, "replica_count": 1, "container_spec": container}
        return {"worker_pool_specs": [pool]}


def wait_until(holds: Callable[[], bool], seconds: float = 40) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
