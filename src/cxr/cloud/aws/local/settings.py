"""How one server of Amazon's APIs runs: its state folder, its limits, the programs that stand in for the service."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cxr.cloud.emulator.settings import scorer_command, stand_in_command

#: The account that moto takes every caller for.
ACCOUNT = "123456789012"
INSTANCE_PROFILE = "cxr-local"
DEFAULT_REGION = "us-east-1"
#: Keys that are none: moto takes any.
ACCESS_KEY = SECRET_KEY = "local"
#: How long a program has between SIGTERM and SIGKILL (API reference, StopTrainingJob).
STOP_GRACE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """Settings of one server.

    `port` 0 means the port of the last run when it is free, otherwise any. `idle_exit_seconds` None means never.
    `max_running_jobs` counts training, AutoML and transform jobs together; more wait.
    """

    state_dir: Path
    port: int = 0
    idle_exit_seconds: float | None = None
    max_running_jobs: int = 1
    stand_in: tuple[str, ...] = field(default_factory=stand_in_command)
    stand_in_epochs: int | None = None
    scorer: tuple[str, ...] = field(default_factory=scorer_command)
    stop_grace_seconds: float = STOP_GRACE_SECONDS

    @property
    def jobs_dir(self) -> Path:
        """One folder for each training job, with the tree of each of its hosts."""
        return self.state_dir / "jobs"

    @property
    def automl_dir(self) -> Path:
        """One folder for each AutoML job."""
        return self.state_dir / "automl-jobs"

    @property
    def transform_dir(self) -> Path:
        """One folder for each transform job."""
        return self.state_dir / "transform-jobs"
