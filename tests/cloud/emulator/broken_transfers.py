"""Faults are put to the emulator, and objects are looked at behind its clients' backs."""

from __future__ import annotations

from typing import Any

import requests
from emulator_server import Server
from google.cloud.storage.retry import DEFAULT_RETRY

PIECE = 256 * 1024
INSERT = "storage.objects.insert"
QUICK = DEFAULT_RETRY.with_delay(initial=0.001, maximum=0.01)


def put_rules(server: Server, *rules: dict[str, Any], latency_ms: float = 0) -> None:
    document = {"latency_ms": latency_ms, "rules": list(rules)}
    answer = requests.put(f"{server.url}/_emulator/faults", json=document, timeout=60)
    assert answer.status_code == 200, answer.text


def fired(server: Server) -> list[int]:
    return [rule["fired"] for rule in requests.get(f"{server.url}/_emulator/faults", timeout=60).json()["rules"]]


def media_url(server: Server, name: str) -> str:
    return f"{server.url}/upload/storage/v1/b/faulty/o?uploadType=media&name={name}"


def stored(server: Server, name: str) -> bytes | None:
    answer = requests.get(f"{server.url}/storage/v1/b/faulty/o/{name}?alt=media", timeout=60)
    return answer.content if answer.status_code == 200 else None


def session(server: Server, name: str) -> str:
    path = f"{server.url}/upload/storage/v1/b/faulty/o?uploadType=resumable"
    return str(requests.post(path, json={"name": name}, timeout=60).headers["Location"])
