"""How one emulator runs: where its state is, what it limits, which program stands in for the AutoML service."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

DEFAULT_PROJECT = "cxr-local"
DEFAULT_REGION = "us-central1"


def default_max_running_jobs() -> int:
    """Half of the cores, at least two: training is itself parallel."""
    return max(2, (os.cpu_count() or 2) // 2)


def stand_in_command() -> tuple[str, ...]:
    """The program that trains in AutoML's place; the emulator adds --items, --output, --model-type and the budget."""
    return (sys.executable, "-m", "cxr.local_baseline.stand_in.training")


def scorer_command() -> tuple[str, ...]:
    """The program that predicts with the stand-in's cloud models; the emulator adds --model and what to score."""
    return (sys.executable, "-m", "cxr.local_baseline.stand_in.scoring")


@dataclass(frozen=True, slots=True)
class EmulatorSettings:
    """Settings of one server.

    `port` 0 means the port of the last run when it is free, otherwise any. `idle_exit_seconds` None means never.
    `job_environment` is added to every job's environment. The quotas are off when None.
    """

    state_dir: Path
    port: int = 0
    idle_exit_seconds: float | None = None
    max_running_jobs: int = field(default_factory=default_max_running_jobs)
    stand_in: tuple[str, ...] = field(default_factory=stand_in_command)
    stand_in_epochs: int | None = None
    scorer: tuple[str, ...] = field(default_factory=scorer_command)
    scorer_idle_seconds: float = 300.0
    scorer_answer_seconds: float = 60.0
    job_environment: Mapping[str, str] = field(default_factory=dict)
    job_attempts: int = 3
    quota_automl_jobs: int | None = None
    quota_operations_per_minute: int | None = None
    cancel_grace_seconds: float = 5.0

    @property
    def database_path(self) -> Path:
        """Metadata and resources (SQLite)."""
        return self.state_dir / "state.db"

    @property
    def blobs_dir(self) -> Path:
        """The bytes of stored objects."""
        return self.state_dir / "blobs"

    @property
    def uploads_dir(self) -> Path:
        """Bytes of uploads that are not finished."""
        return self.state_dir / "uploads"

    @property
    def jobs_dir(self) -> Path:
        """One folder for each job: its description, its attempts, logs and outputs."""
        return self.state_dir / "jobs"

    @property
    def models_dir(self) -> Path:
        """The files of trained models."""
        return self.state_dir / "models"

    @property
    def scorers_dir(self) -> Path:
        """What the programs that predict online have written to stderr."""
        return self.state_dir / "scorers"
