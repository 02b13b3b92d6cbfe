"""The demo's server, killed while the demo works with it."""

from __future__ import annotations

import json
import queue
from pathlib import Path

import psutil

from cxr.cli.demo_server import kept_running
from cxr.cloud.emulator.process import server_status
from cxr.cloud.provider import ServerWishes
from cxr.cloud.providers import provider_of
from cxr.settings import Settings


def test_a_server_that_is_killed_is_started_again_at_its_address(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path / ".cxr")
    provider, wishes = provider_of(settings.on), ServerWishes(1, 1)
    url = provider.start_server(settings, wishes)
    said: queue.SimpleQueue[str] = queue.SimpleQueue()
    try:
        with kept_running(provider, settings, wishes, said.put):
            server = psutil.Process(json.loads((settings.emulator_dir / "server.json").read_text())["pid"])
            server.kill()
            assert url in said.get(timeout=300)
            assert server_status(url) is not None
        assert said.empty()
    finally:
        provider.stop_server(settings)
