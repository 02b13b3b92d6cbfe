"""What is examined: this process's machine, folder and environment."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cxr.cloud.provider import Provider
from cxr.cloud.providers import provider_of
from cxr.settings import Settings


def _now() -> datetime:
    return datetime.now(UTC)


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


@dataclass(frozen=True, slots=True)
class Subject:
    """What a check may look at. `settings` is None when they cannot be read (`settings_error` says why). `online` lets
    a check ask the cloud that the settings name, `gpu` lets it load TensorFlow; `min_free_gb` is what a disk should
    have left (GB of 10^9 bytes)."""

    settings: Settings | None
    settings_error: str = ""
    settings_fix: str = ""
    folder: Path = field(default_factory=Path.cwd)
    home: Path = field(default_factory=Path.home)
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    online: bool = False
    gpu: bool = False
    min_free_gb: float = 2.0
    now: Callable[[], datetime] = _now
    free_bytes: Callable[[Path], int] = _free_bytes

    def works_on(self, cloud: Provider) -> bool:
        """Whether that is the cloud where `cxr cloud` works with these settings."""
        return self.settings is not None and provider_of(self.settings.on) is cloud

    @property
    def state_dir(self) -> Path:
        """The working folder's state, also when the settings cannot be read."""
        return (self.settings or Settings()).state_dir
