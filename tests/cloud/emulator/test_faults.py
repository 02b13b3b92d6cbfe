"""Faults and latency on request: which requests meet them, and how they are asked for."""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from broken_transfers import INSERT, PIECE, QUICK, fired, media_url, put_rules, stored
from emulator_server import Server, Start, wait_until
from google.api_core import exceptions
from google.cloud import storage
from typer.testing import CliRunner

from cxr.cli.emulator import app
from cxr.cloud.emulator.faults import FaultError, Faults, Subject


@pytest.mark.parametrize("resumable", [False, True], ids=["multipart", "resumable"])
def test_an_unavailable_service_twice_for_each_object(faulty: Server, bucket: storage.Bucket, resumable: bool) -> None:
    put_rules(faulty, {"operation": INSERT, "action": "status", "status": 503, "times": 2, "per": "object"})
    for name in ("a", "b", "c"):
        source, size = io.BytesIO(name.encode()), None if resumable else 1
        bucket.blob(name).upload_from_file(source, size=size, if_generation_match=0, retry=QUICK)
    assert fired(faulty) == [6]
    assert [stored(faulty, name) for name in "abc"] == [b"a", b"b", b"c"]


def test_too_many_requests_say_when_to_come_back(faulty: Server) -> None:
    put_rules(faulty, {"method": "POST", "action": "status", "status": 429, "retry_after": 7, "times": 1})
    refused = requests.post(media_url(faulty, "a"), data=b"a", timeout=60)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "7")
    assert refused.json()["error"]["errors"][0]["reason"] == "rateLimitExceeded"
    assert stored(faulty, "a") is None
    assert requests.post(media_url(faulty, "a"), data=b"a", timeout=60).status_code == 200


def test_rules_choose_by_path_and_by_object(faulty: Server, bucket: storage.Bucket) -> None:
    rules = [
        {"path": r"name=by-path$", "action": "status", "status": 500},
        {"object": r"^faulty/by-object$", "action": "status", "status": 502},
    ]
    put_rules(faulty, *rules)
    assert requests.post(media_url(faulty, "by-path"), data=b"", timeout=60).status_code == 500
    assert requests.post(media_url(faulty, "other"), data=b"", timeout=60).status_code == 200
    with pytest.raises(exceptions.BadGateway):
        bucket.blob("by-object").upload_from_string(b"x", retry=None)
    assert fired(faulty) == [1, 1]


def test_a_chance_is_the_same_with_the_same_seed(faulty: Server) -> None:
    def statuses() -> list[int]:
        put_rules(faulty, {"action": "status", "probability": 0.5, "seed": 11})
        return [requests.get(f"{faulty.url}/storage/v1/b/faulty", timeout=60).status_code for _ in range(30)]

    first = statuses()
    assert set(first) == {200, 503}
    assert statuses() == first


def test_latency_is_waited_for_side_by_side(faulty: Server) -> None:
    # A hundred that wait for an hour do not keep those from their answer that came later and wait less.
    slow = {"path": "slow", "action": "latency", "seconds": 3600}
    put_rules(faulty, slow, {"path": "quick", "action": "latency", "seconds": 0.05}, latency_ms=20)
    address = urlsplit(faulty.url)
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(20) as pool:
        waiting = [stack.enter_context(socket.create_connection((address.hostname, address.port))) for _ in range(100)]
        for connection in waiting:
            head = f"GET /storage/v1/b/faulty?slow HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n"
            connection.sendall(head.encode())
            connection.setblocking(False)
        wait_until(lambda: fired(faulty)[0] == 100)
        quick = pool.map(lambda _: requests.get(f"{faulty.url}/storage/v1/b/faulty?quick", timeout=60), range(40))
        assert [answer.status_code for answer in quick] == [200] * 40
        for connection in waiting:
            with pytest.raises(BlockingIOError):
                connection.recv(1)
    assert fired(faulty) == [100, 40]


def test_faults_reach_vertex_too(faulty: Server) -> None:
    put_rules(
        faulty,
        {"operation": "aiplatform.datasets.list", "action": "status", "status": 429, "times": 1},
        {"operation": "aiplatform.datasets.list", "action": "reset", "times": 1},
    )
    refused = faulty.call("GET", f"{faulty.parent}/datasets")
    assert (refused.status_code, refused.json()["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
    with pytest.raises(requests.ConnectionError):
        faulty.call("GET", f"{faulty.parent}/datasets")
    assert faulty.call("GET", f"{faulty.parent}/datasets").status_code == 200


def test_the_emulators_own_paths_have_no_faults_and_are_not_counted(faulty: Server) -> None:
    put_rules(faulty, {"action": "status"}, {"action": "reset"}, latency_ms=3_600_000)
    requests.delete(f"{faulty.url}/_emulator/requests", timeout=60)
    assert requests.get(f"{faulty.url}/_emulator/status", timeout=60).status_code == 200
    counts = requests.get(f"{faulty.url}/_emulator/requests", timeout=60).json()
    assert (counts["bytes_received"], counts["bytes_sent"]) == (0, 0)
    cleared = requests.delete(f"{faulty.url}/_emulator/faults", timeout=60).json()
    assert cleared == {"latency_ms": 0, "rules": []}


def test_requests_are_counted_by_operation(faulty: Server, bucket: storage.Bucket) -> None:
    requests.delete(f"{faulty.url}/_emulator/requests", timeout=60)
    for name in ("a", "b"):
        bucket.blob(name).upload_from_string(b"x" * 1000)
    assert len(list(bucket.list_blobs())) == 2
    bucket.blob("a").download_as_bytes()
    bucket.blob("b").delete()
    counts = requests.get(f"{faulty.url}/_emulator/requests", timeout=60).json()
    operations = {name: count for name, count in counts.items() if name.startswith("storage.objects")}
    assert operations == {
        "storage.objects.insert": 2,
        "storage.objects.list": 1,
        "storage.objects.get": 1,
        "storage.objects.delete": 1,
    }
    assert counts["bytes_received"] > 2000
    assert counts["bytes_sent"] > 1000
    assert counts["connections"] >= 1


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "the document: a JSON object"),
        ({"latency": 5}, "unknown field 'latency'"),
        ({"latency_ms": -1}, "latency_ms"),
        ({"rules": {}}, "rules: a list"),
        ({"rules": [{"action": "explode"}]}, "rules[0].action"),
        ({"rules": [{"action": "reset"}, {"action": "status", "stat": 1}]}, "rules[1]: unknown field 'stat'"),
        ({"rules": [{"action": "status", "status": 200}]}, "rules[0].status"),
        ({"rules": [{"action": "stall"}]}, "rules[0].seconds"),
        ({"rules": [{"action": "reset", "path": "("}]}, "regular expression"),
        ({"rules": [{"action": "reset", "times": 1.5}]}, "rules[0].times"),
        ({"rules": [{"action": "reset", "per": "day"}]}, "rules[0].per"),
        ({"rules": [{"action": "reset", "probability": 2}]}, "rules[0].probability"),
        ({"rules": [{"action": "reset", "after": True, "after_bytes": 1}]}, "exclude each other"),
        ({"rules": [{"action": "corrupt", "after": True}]}, "corrupt has none"),
        ({"rules": [{"action": "trickle", "seconds": 0, "after": True}]}, "trickle has none"),
    ],
)
def test_a_document_that_is_not_understood_changes_nothing(faulty: Server, document: Any, words: str) -> None:
    put_rules(faulty, {"action": "status", "path": "never-asked-for"})
    answer = requests.put(f"{faulty.url}/_emulator/faults", json=document, timeout=60)
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]
    assert fired(faulty) == [0]


def test_rules_end_with_the_server(start: Start) -> None:
    server = start()
    put_rules(server, {"action": "status"}, latency_ms=1)
    server.kill()
    assert requests.get(f"{start().url}/_emulator/faults", timeout=60).json() == {"latency_ms": 0, "rules": []}


@pytest.mark.parametrize(
    ("instruction", "status"),
    [("return-503", 503), ("return-429", 429), ("return-503-after-256K", 503), ("return-503-after-256K/retry-3", 200)],
)
def test_a_request_may_ask_for_its_own_fault(faulty: Server, instruction: str, status: int) -> None:
    headers = {"x-goog-emulator-instructions": instruction}
    answer = requests.post(media_url(faulty, "own"), data=os.urandom(2 * PIECE), headers=headers, timeout=60)
    assert answer.status_code == status
    assert (stored(faulty, "own") is not None) == (status == 200)


def test_the_command_line_shows_sets_and_clears_faults(start: Start, tmp_path: Any) -> None:
    server = start()
    runner, state = CliRunner(), ["--state", str(server.state), "--json"]

    def faults(*arguments: str) -> Any:
        result = runner.invoke(app, ["faults", *arguments, *state])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    assert faults()["rules"] == []
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps({"latency_ms": 1, "rules": [{"action": "status", "times": 2}]}))
    assert (faults("--file", str(rules))["latency_ms"], faults()["rules"][0]["times"]) == (1, 2)
    changed = faults("--latency-ms", "50")
    assert (changed["latency_ms"], len(changed["rules"])) == (50, 1)
    assert faults("--clear")["latency_ms"] == 0
    rules.write_text('{"rules": [{"action": "explode"}]}')
    refused = runner.invoke(app, ["faults", "--file", str(rules), *state])
    assert refused.exit_code != 0


def test_a_rule_counts_each_object_for_itself() -> None:
    faults = Faults()
    faults.replace({"rules": [{"action": "reset", "times": 1, "per": "object"}, {"action": "status", "times": 1}]})
    chosen = []
    for name in ("b/x", "b/y", "b/x", "b/x", None):
        fault = faults.choose(Subject("POST", "/", "storage.objects.insert", name, None, True))[1]
        chosen.append(fault.action if fault else None)
    assert chosen == ["reset", "reset", "status", None, None]
    with pytest.raises(FaultError):
        faults.replace({"rules": [1]})
