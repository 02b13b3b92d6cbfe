"""Real servers on loopback, with a stand-in program that trains nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("google.cloud.storage", reason='needs the extra: pip install "cxr[gcp]"')
pytest.importorskip("httptools", reason='needs the extra: pip install "cxr[gcp]"')

from emulator_server import TINY, Server, Start

from cxr.cloud.emulator import process


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts emulators; each is stopped at the end of the test."""
    states: set[Path] = set()

    def begin(state: Path | None = None, **options: Any) -> Server:
        folder = state or tmp_path / "emulator"
        states.add(folder)
        return Server(folder, process.ensure_running(folder, **{**TINY, **options}))

    yield begin
    for state in states:
        process.stop(state)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One emulator for all tests that leave it as they found it."""
    state = tmp_path_factory.mktemp("emulator")
    yield Server(state, process.ensure_running(state, **TINY, max_running_jobs=2))
    process.stop(state)


@pytest.fixture
def sdk(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`google.cloud.aiplatform` pointed at the server, as docs/emulator.md says."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
    aiplatform.init(
        api_endpoint=server.url,
        api_transport="rest",
        credentials=AnonymousCredentials(),
        project="p",
        location="us-central1",
    )
    yield
    aiplatform.initializer.global_config.__init__()
