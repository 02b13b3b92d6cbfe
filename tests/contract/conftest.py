"""One suite for every server that speaks Google's APIs.

By default it drives an emulator that it starts. CXR_CONTRACT_URL names another server (an emulator that runs already,
or Google's storage testbench); CXR_CONTRACT_BUCKET_LOCATION, where its buckets are to be.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("google.cloud.storage", reason='needs the extra: pip install "cxr[gcp]"')

from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from cxr.cloud.emulator import process

TINY = Path(__file__).parents[1] / "cloud" / "emulator"
PROJECT, REGION = "cxr-contract", "us-central1"


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server that is judged."""
    given = os.environ.get("CXR_CONTRACT_URL")
    if given:
        yield given
        return
    state = tmp_path_factory.mktemp("contract-emulator")
    programs = {name: f"{sys.executable} {TINY / f'tiny_{name}.py'}" for name in ("stand_in", "scorer")}
    yield process.ensure_running(state, **programs, max_running_jobs=2, deadline_seconds=240)
    process.stop(state, deadline_seconds=240)


@pytest.fixture(scope="session")
def storage_client(server_url: str) -> storage.Client:
    """The unmodified storage SDK, pointed at the server the documented way."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in process.environment(server_url).items():
            patch.setenv(name, value)
        return storage.Client(project=PROJECT, credentials=AnonymousCredentials())


@pytest.fixture
def bucket(server_url: str, storage_client: storage.Client, monkeypatch: pytest.MonkeyPatch) -> storage.Bucket:
    """A new, empty bucket; clients that the test makes go to the same server."""
    for name, value in process.environment(server_url).items():
        monkeypatch.setenv(name, value)
    location = os.environ.get("CXR_CONTRACT_BUCKET_LOCATION", REGION)
    return storage_client.create_bucket(f"cxr-contract-{uuid.uuid4().hex[:12]}", location=location)


@pytest.fixture(scope="session")
def lower(server_url: str) -> Callable[[type[Any]], Any]:
    """Makes a lower-level Vertex client of a class, with the REST transport."""

    def make(kind: type[Any]) -> Any:
        return kind(credentials=AnonymousCredentials(), transport="rest", client_options={"api_endpoint": server_url})

    return make


@pytest.fixture(scope="session")
def parent() -> str:
    """Project and region of Vertex resources."""
    return f"projects/{PROJECT}/locations/{REGION}"
