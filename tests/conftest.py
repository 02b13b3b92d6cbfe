"""Shared fixtures. Real processes, real sockets on loopback, real X-rays where they are at hand."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cxr.cloud.emulator.process import ensure_running, stop
from cxr.settings import Settings

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def xrays() -> Path:
    """The folder of real chest X-rays in the Kaggle layout; skips where there is none."""
    folder = Path(os.environ.get("CXR_XRAYS", SHARED / "data" / "chest_xray"))
    if not folder.is_dir():
        pytest.skip("real X-rays are not here: put them at ../shared/data/chest_xray or set CXR_XRAYS")
    return folder


@pytest.fixture(scope="session")
def kermany_listing() -> Path:
    """The names of all files of the full release; skips where the listing is not at hand."""
    listing = SHARED / "data" / "kermany_listing.csv"
    if not listing.is_file():
        pytest.skip("the listing of the full release is not here: ../shared/data/kermany_listing.csv")
    return listing


@pytest.fixture(scope="session")
def local_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a working folder whose emulator is running, with no image in its bucket yet."""
    settings = Settings(state_dir=tmp_path_factory.mktemp("work") / ".cxr", bucket="cxr-tests")
    ensure_running(settings.emulator_dir, idle_exit_seconds=3_600)  # longer than a worker is busy with other files
    yield settings
    stop(settings.emulator_dir)


@pytest.fixture
def run_cxr(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `python -m cxr …` as a process of its own in `tmp_path` (or `cwd`)."""

    def run(*args: str, cwd: Path | None = None, env: dict[str, str] | None = None, **options: Any) -> Any:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("CXR_")}
        command = [sys.executable, "-m", "cxr", *args]
        return subprocess.run(
            command,
            cwd=cwd or tmp_path,
            env=environment | (env or {}),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=300,
            check=False,
            **options,
        )

    return run
