"""The servers that are uploaded to: the project's emulator, and moto for S3. Both on loopback, ended by their ids."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr.cloud.emulator.process import ensure_running, stop

PROJECT = "cxr-local"
BUCKET = "uploads"
#: The server ends by itself when this process was killed.
IDLE_EXIT_S = 900.0


@dataclass(frozen=True, slots=True)
class Counts:
    """What a server has seen since it was asked last."""

    requests: int = 0
    inserts: int = 0
    lists: int = 0
    received: int = 0
    connections: int = 0


@dataclass(frozen=True, slots=True)
class Server:
    """A server with one empty bucket."""

    url: str
    counts_requests: bool = True

    def set_latency(self, milliseconds: float) -> None:
        """Every request waits so long from now on."""
        _call("PUT", f"{self.url}/_emulator/faults", {"latency_ms": milliseconds})

    def counts(self) -> Counts | None:
        """What was counted since the last call; None for a server that does not count."""
        if not self.counts_requests:
            return None
        seen: dict[str, int] = _call("GET", f"{self.url}/_emulator/requests")
        _call("DELETE", f"{self.url}/_emulator/requests")
        received, connections = seen.pop("bytes_received"), seen.pop("connections")
        seen.pop("bytes_sent")
        inserts, lists = seen.get("storage.objects.insert", 0), seen.get("storage.objects.list", 0)
        return Counts(sum(seen.values()), inserts, lists, received, connections)


@contextmanager
def emulator(folder: Path) -> Iterator[Server]:
    """A new emulator with its state in `folder`, which is removed afterwards."""
    try:
        server = Server(ensure_running(folder, idle_exit_seconds=IDLE_EXIT_S))
        _call("POST", f"{server.url}/storage/v1/b?project={PROJECT}", {"name": BUCKET})
        server.counts()
        yield server
    finally:
        stop(folder)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def moto(environment: dict[str, str]) -> Iterator[Server]:
    """A new moto server."""
    command = [sys.executable, "-m", "upload_peers.moto_server"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True
    )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        if not port:
            raise RuntimeError("moto did not start")
        server = Server(f"http://127.0.0.1:{port}", counts_requests=False)
        _call("PUT", f"{server.url}/{BUCKET}")
        yield server
    finally:
        process.kill()
        process.communicate()


def _call(method: str, url: str, document: object = None) -> Any:
    data = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read()
    return json.loads(text) if text.startswith(b"{") else None
