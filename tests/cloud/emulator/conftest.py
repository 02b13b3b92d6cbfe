"""Real servers on loopback, with a stand-in program that trains nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("google.cloud.storage", reason='needs the extra: pip install "cxr[gcp]"')
pytest.importorskip("httptools", reason='needs the extra: pip install "cxr[gcp]"')

import requests
from emulator_server import PATIENCE_SECONDS, TINY, Server, Start
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from cxr.cloud.emulator import process


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts emulators; each is stopped at the end of the test."""
    states: set[Path] = set()

    def begin(state: Path | None = None, **options: Any) -> Server:
        folder = state or tmp_path / "emulator"
        states.add(folder)
        chosen = {**TINY, "deadline_seconds": PATIENCE_SECONDS, **options}
        return Server(folder, process.ensure_running(folder, **chosen))

    yield begin
    for state in states:
        process.stop(state, deadline_seconds=PATIENCE_SECONDS)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One emulator for all tests that leave it as they found it."""
    state = tmp_path_factory.mktemp("emulator")
    url = process.ensure_running(state, **TINY, max_running_jobs=2, deadline_seconds=PATIENCE_SECONDS)
    yield Server(state, url)
    process.stop(state, deadline_seconds=PATIENCE_SECONDS)


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


@pytest.fixture
def faulty(server: Server) -> Iterator[Server]:
    """The shared server with an empty bucket of its own; its faults are gone after the test."""
    server.bucket("faulty")
    for item in requests.get(f"{server.url}/storage/v1/b/faulty/o", timeout=60).json().get("items", []):
        requests.delete(f"{server.url}/storage/v1/b/faulty/o/{item['name']}", timeout=60)
    yield server
    requests.delete(f"{server.url}/_emulator/faults", timeout=60)


@pytest.fixture
def bucket(faulty: Server, monkeypatch: pytest.MonkeyPatch) -> storage.Bucket:
    """The bucket as the SDK sees it."""
    monkeypatch.setenv("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
    client = storage.Client(
        project="p", credentials=AnonymousCredentials(), client_options={"api_endpoint": faulty.url}
    )
    return client.bucket("faulty")
