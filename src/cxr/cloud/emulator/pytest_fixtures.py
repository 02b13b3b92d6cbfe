"""Fixtures for the tests of other projects: Google's storage and Vertex AI on this machine, no account, no network.

In conftest.py: `pytest_plugins = ["cxr.cloud.emulator.pytest_fixtures"]`. Then

    def test_mine(google_emulator):
        aiplatform.init(**google_emulator.aiplatform_options)
        storage.Client(**google_emulator.storage_options)

Override the session fixture `google_emulator_options` to change how it is started (see `ensure_running`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from cxr.cloud.emulator.process import ensure_running, environment, stop
from cxr.cloud.emulator.settings import DEFAULT_PROJECT, DEFAULT_REGION


@dataclass(frozen=True, slots=True)
class GoogleEmulator:
    """A running emulator and what points the unmodified SDKs at it. `state_dir` has its log and its jobs' folders."""

    url: str
    state_dir: Path
    project: str = DEFAULT_PROJECT
    region: str = DEFAULT_REGION

    @property
    def aiplatform_options(self) -> dict[str, Any]:
        """Arguments of `aiplatform.init`."""
        from google.auth.credentials import AnonymousCredentials

        return {
            "project": self.project,
            "location": self.region,
            "api_endpoint": self.url,
            "api_transport": "rest",
            "credentials": AnonymousCredentials(),
        }

    @property
    def storage_options(self) -> dict[str, Any]:
        """Arguments of `storage.Client`; beside them STORAGE_EMULATOR_HOST is set while the fixture lives."""
        from google.auth.credentials import AnonymousCredentials

        return {"project": self.project, "credentials": AnonymousCredentials()}

    def control(self, what: str, document: Mapping[str, Any] | None = None, *, method: str = "PUT") -> Any:
        """Ask `/_emulator/WHAT` (faults, outcomes, requests): set the document, or GET or DELETE it. Returns the
        answer's JSON; raises urllib.error.HTTPError for a document that is refused."""
        body = None if document is None else json.dumps(document).encode()
        request = Request(f"{self.url}/_emulator/{what}", data=body, method=method)
        with urlopen(request, timeout=30) as answer:
            return json.load(answer)


@pytest.fixture(scope="session")
def google_emulator_options() -> Mapping[str, Any]:
    """How the emulator is started: keyword arguments of `cxr.cloud.emulator.process.ensure_running`."""
    return {"stand_in_epochs": 1}


@pytest.fixture(scope="session")
def google_emulator(
    tmp_path_factory: pytest.TempPathFactory, google_emulator_options: Mapping[str, Any]
) -> Iterator[GoogleEmulator]:
    """One emulator for the whole session, with its state in a temporary folder; it ends with the session."""
    state = tmp_path_factory.mktemp("google-emulator")
    url = ensure_running(state, **google_emulator_options)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(url).items():
            patch.setenv(name, value)
        try:
            yield GoogleEmulator(url, state)
        finally:
            stop(state)
