"""Shared fixtures. Real processes, real sockets on loopback, real X-rays where they are at hand."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import util
from pathlib import Path
from typing import Any, NoReturn

import hypothesis
import pytest

from cxr.cloud.emulator.process import ensure_running, stop
from cxr.settings import Settings
from patience import BROWSER_MS

# Machines are shared: how long an example takes says nothing.
hypothesis.settings.register_profile("cxr", deadline=None)
# What judges a change asks every commit the same questions; new ones are asked by every other run, and by make fuzz.
hypothesis.settings.register_profile("gate", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("cxr")

#: When the run began (monotonic seconds).
BEGAN = pytest.StashKey[float]()
SHARED = Path(__file__).resolve().parents[2] / "shared"


def without_browser(reason: str) -> NoReturn:
    """What is not proven there: skipped on a laptop, a failure where the tests must be whole (.ci/run)."""
    if os.environ.get("CXR_REQUIRE_BROWSER"):
        pytest.fail(f"CXR_REQUIRE_BROWSER is set, but {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A real headless Chromium; skips where there is none, and fails there when CXR_REQUIRE_BROWSER is set."""
    if util.find_spec("playwright") is None:
        without_browser("playwright is not installed: make install")
    from playwright import sync_api

    from cxr.compare.parity.chromium import FLAGS  # as verification starts it
    from cxr.webapp.browser import find_chromium

    path = find_chromium()
    if path is None:
        without_browser("there is no Chromium: install one, for example by: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, headless=True, args=list(FLAGS), timeout=BROWSER_MS)
        yield started
        started.close()


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
            timeout=500,
            check=False,
            **options,
        )

    return run


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--minutes", type=float, help="Skip what has not begun after this many minutes: a run that has to end in time."
    )


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.stash[BEGAN] = time.monotonic()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The chaos comes last: it takes the longest, and where the time is short it is what is left out."""
    items.sort(key=lambda item: "chaos" in item.path.parts)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    minutes = item.config.getoption("--minutes")
    if minutes is not None and time.monotonic() - item.config.stash[BEGAN] > minutes * 60:
        pytest.skip(f"the {minutes:g} minutes of this run are over")
