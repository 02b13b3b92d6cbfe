"""Real servers on loopback, with a stand-in program that trains nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("google.cloud.storage", reason='needs the extra: pip install "cxr[gcp]"')
pytest.importorskip("httptools", reason='needs the extra: pip install "cxr[gcp]"')

from emulator_server import TINY_STAND_IN, Server, Start

from cxr.cloud.emulator import process


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts emulators; each is stopped at the end of the test."""
    states: set[Path] = set()

    def begin(state: Path | None = None, **options: Any) -> Server:
        folder = state or tmp_path / "emulator"
        states.add(folder)
        options.setdefault("stand_in", f"{sys.executable} {TINY_STAND_IN}")
        return Server(folder, process.ensure_running(folder, **options))

    yield begin
    for state in states:
        process.stop(state)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One emulator for all tests that leave it as they found it."""
    state = tmp_path_factory.mktemp("emulator")
    stand_in = f"{sys.executable} {TINY_STAND_IN}"
    yield Server(state, process.ensure_running(state, stand_in=stand_in, max_running_jobs=2))
    process.stop(state)
