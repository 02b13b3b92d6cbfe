"""Faults and latency on request, as unmodified clients meet them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from emulator_server import Server, Start, wait_until
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption
from google.cloud.storage.retry import DEFAULT_RETRY
from typer.testing import CliRunner

from cxr.cli.emulator import app
from cxr.cloud.emulator.faults import FaultError, Faults, Subject

PIECE = 256 * 1024
INSERT = "storage.objects.insert"
QUICK = DEFAULT_RETRY.with_delay(initial=0.001, maximum=0.01)


@pytest.fixture
def faulty(server: Server) -> Iterator[Server]:
    """The shared server with an empty bucket of its own; its faults are gone after the test."""
    server.bucket("faulty")
    for item in requests.get(f"{server.url}/storage/v1/b/faulty/o", timeout=20).json().get("items", []):
        requests.delete(f"{server.url}/storage/v1/b/faulty/o/{item['name']}", timeout=20)
    yield server
    requests.delete(f"{server.url}/_emulator/faults", timeout=20)


@pytest.fixture
def bucket(faulty: Server, monkeypatch: pytest.MonkeyPatch) -> storage.Bucket:
    """The bucket as the SDK sees it."""
    monkeypatch.setenv("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
    client = storage.Client(
        project="p", credentials=AnonymousCredentials(), client_options={"api_endpoint": faulty.url}
    )
    return client.bucket("faulty")


def put_rules(server: Server, *rules: dict[str, Any], latency_ms: float = 0) -> None:
    document = {"latency_ms": latency_ms, "rules": list(rules)}
    answer = requests.put(f"{server.url}/_emulator/faults", json=document, timeout=20)
    assert answer.status_code == 200, answer.text


def fired(server: Server) -> list[int]:
    return [rule["fired"] for rule in requests.get(f"{server.url}/_emulator/faults", timeout=20).json()["rules"]]


def media_url(server: Server, name: str) -> str:
    return f"{server.url}/upload/storage/v1/b/faulty/o?uploadType=media&name={name}"


def stored(server: Server, name: str) -> bytes | None:
    answer = requests.get(f"{server.url}/storage/v1/b/faulty/o/{name}?alt=media", timeout=20)
    return answer.content if answer.status_code == 200 else None


def session(server: Server, name: str) -> str:
    path = f"{server.url}/upload/storage/v1/b/faulty/o?uploadType=resumable"
    return str(requests.post(path, json={"name": name}, timeout=20).headers["Location"])


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
    refused = requests.post(media_url(faulty, "a"), data=b"a", timeout=20)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "7")
    assert refused.json()["error"]["errors"][0]["reason"] == "rateLimitExceeded"
    assert stored(faulty, "a") is None
    assert requests.post(media_url(faulty, "a"), data=b"a", timeout=20).status_code == 200


def test_rules_choose_by_path_and_by_object(faulty: Server, bucket: storage.Bucket) -> None:
    rules = [
        {"path": r"name=by-path$", "action": "status", "status": 500},
        {"object": r"^faulty/by-object$", "action": "status", "status": 502},
    ]
    put_rules(faulty, *rules)
    assert requests.post(media_url(faulty, "by-path"), data=b"", timeout=20).status_code == 500
    assert requests.post(media_url(faulty, "other"), data=b"", timeout=20).status_code == 200
    with pytest.raises(exceptions.BadGateway):
        bucket.blob("by-object").upload_from_string(b"x", retry=None)
    assert fired(faulty) == [1, 1]


def test_a_chance_is_the_same_with_the_same_seed(faulty: Server) -> None:
    def statuses() -> list[int]:
        put_rules(faulty, {"action": "status", "probability": 0.5, "seed": 11})
        return [requests.get(f"{faulty.url}/storage/v1/b/faulty", timeout=20).status_code for _ in range(30)]

    first = statuses()
    assert set(first) == {200, 503}
    assert statuses() == first


@pytest.mark.parametrize("after_bytes", [None, 0, 1000, PIECE])
def test_a_reset_in_the_middle_of_an_upload_leaves_no_object(faulty: Server, after_bytes: int | None) -> None:
    put_rules(faulty, {"operation": INSERT, "action": "reset", "after_bytes": after_bytes, "times": 1})
    with pytest.raises(requests.ConnectionError):
        requests.post(media_url(faulty, "cut"), data=os.urandom(4 * PIECE), timeout=20)
    assert stored(faulty, "cut") is None
    assert fired(faulty) == [1]
    assert requests.post(media_url(faulty, "cut"), data=b"again", timeout=20).status_code == 200


def test_an_answer_may_be_lost_after_the_object_was_made(faulty: Server, bucket: storage.Bucket) -> None:
    for action in ("reset", "status"):
        put_rules(faulty, {"operation": INSERT, "action": action, "after": True, "times": 1})
        name = f"lost-{action}"
        with pytest.raises((requests.ConnectionError, exceptions.ServiceUnavailable)):
            bucket.blob(name).upload_from_string(b"there", if_generation_match=0, retry=None)
        assert stored(faulty, name) == b"there"
        with pytest.raises(exceptions.PreconditionFailed):
            bucket.blob(name).upload_from_string(b"there", if_generation_match=0, retry=None)


def test_an_error_in_the_middle_of_an_upload(faulty: Server) -> None:
    put_rules(faulty, {"operation": INSERT, "action": "status", "status": 503, "after_bytes": 1000, "times": 1})
    assert requests.post(media_url(faulty, "short"), data=b"x" * 1000, timeout=20).status_code == 200
    assert requests.post(media_url(faulty, "long"), data=b"x" * 20 * PIECE, timeout=20).status_code == 503
    assert stored(faulty, "long") is None


@pytest.mark.parametrize("action", ["reset", "status", "stall"])
@pytest.mark.parametrize("received", [PIECE - 1, 2 * PIECE, 2 * PIECE + 777])
def test_an_interrupted_piece_is_kept_in_multiples_of_256_kib(faulty: Server, action: str, received: int) -> None:
    data, url = os.urandom(5 * PIECE + 3), session(faulty, "resumed")
    rule = {"method": "PUT", "path": "upload_id", "action": action, "after_bytes": received, "times": 1}
    put_rules(faulty, rule | {"seconds": 0.01})
    if action != "status":
        with pytest.raises(requests.ConnectionError):
            requests.put(url, data=data, timeout=20)
    else:
        assert requests.put(url, data=data, timeout=20).status_code == 503
    asked = requests.put(url, headers={"Content-Range": f"bytes */{len(data)}"}, timeout=20)
    kept = received - received % PIECE
    assert asked.status_code == 308
    assert asked.headers.get("Range") == (f"bytes=0-{kept - 1}" if kept else None)
    rest = {"Content-Range": f"bytes {kept}-{len(data) - 1}/{len(data)}"}
    assert requests.put(url, data=data[kept:], headers=rest, timeout=20).status_code == 200
    assert stored(faulty, "resumed") == data


def test_the_sdk_gets_over_a_broken_resumable_upload(faulty: Server, bucket: storage.Bucket) -> None:
    put_rules(faulty, {"method": "PUT", "path": "upload_id", "action": "reset", "after_bytes": PIECE + 9, "times": 2})
    data = os.urandom(5 * PIECE + 3)
    blob = bucket.blob("through", chunk_size=4 * PIECE)
    blob.upload_from_file(io.BytesIO(data), if_generation_match=0, retry=QUICK)  # of unknown size: resumable
    assert stored(faulty, "through") == data
    assert fired(faulty) == [2]


def test_a_stalled_request_is_not_answered_and_not_carried_out(faulty: Server) -> None:
    put_rules(faulty, {"operation": INSERT, "action": "stall", "seconds": 3600, "times": 1})
    with pytest.raises(requests.Timeout):
        requests.post(media_url(faulty, "stalled"), data=b"x", timeout=(20, 0.3))
    assert stored(faulty, "stalled") is None
    put_rules(faulty, {"operation": INSERT, "action": "stall", "seconds": 0.01, "times": 1})
    with pytest.raises(requests.ConnectionError):
        requests.post(media_url(faulty, "stalled"), data=b"x", timeout=20)


def test_a_stall_holds_back_a_body_that_arrived_at_once_and_no_other_request(faulty: Server) -> None:
    address = urlsplit(faulty.url)
    head = f"POST {media_url(faulty, 'held')} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: 1\r\n"
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.settimeout(0.3)
        connection.sendall(f"{head}x-goog-emulator-instructions: stall-for-3600s-after-0K\r\n\r\nx".encode())
        with pytest.raises(TimeoutError):
            connection.recv(1)
        assert stored(faulty, "held") is None
    wait_until(lambda: stored(faulty, "held") == b"x")  # the client has gone: nothing is waited for any more


@pytest.mark.parametrize("size", [100, 3 << 20], ids=["small", "large"])
def test_a_corrupted_download_is_found_by_the_sdk(faulty: Server, bucket: storage.Bucket, size: int) -> None:
    data = os.urandom(size)
    bucket.blob("d").upload_from_string(data)
    put_rules(faulty, {"operation": "storage.objects.get", "action": "corrupt", "times": 1})
    bucket.blob("d").reload()  # no bytes of the object: not corrupted
    with pytest.raises(DataCorruption):
        bucket.blob("d").download_as_bytes(checksum="crc32c", retry=None)
    assert bucket.blob("d").download_as_bytes(checksum="crc32c", retry=None) == data


@pytest.mark.parametrize("size", [1, 100, 9 << 20], ids=["byte", "small", "large"])
def test_a_corrupted_upload_is_found_by_the_declared_checksum(
    faulty: Server, bucket: storage.Bucket, size: int
) -> None:
    put_rules(faulty, {"operation": INSERT, "path": "uploadType=multipart", "action": "corrupt", "times": 1})
    data = os.urandom(size)
    path = f"{faulty.url}/upload/storage/v1/b/faulty/o?uploadType=multipart"
    if size < 8 << 20:
        with pytest.raises(exceptions.BadRequest, match="hash"):
            bucket.blob("u").upload_from_string(data, checksum="crc32c", retry=None)
    else:
        body = b"--x\r\n\r\n" + json.dumps({"name": "u", "crc32c": "AAAAAA=="}).encode() + b"\r\n--x\r\n\r\n" + data
        headers = {"Content-Type": "multipart/related; boundary=x"}
        answer = requests.post(path, data=body + b"\r\n--x--", headers=headers, timeout=20)
        assert answer.status_code == 400
    assert stored(faulty, "u") is None
    bucket.blob("u").upload_from_string(data, checksum="crc32c")


def test_a_download_that_breaks_off(faulty: Server, bucket: storage.Bucket) -> None:
    data = os.urandom(2 << 20)
    bucket.blob("d").upload_from_string(data)
    put_rules(faulty, {"path": "alt=media", "action": "reset", "after_bytes": 300_000, "times": 1})
    url = f"{faulty.url}/storage/v1/b/faulty/o/d?alt=media"
    got = bytearray()
    with requests.get(url, stream=True, timeout=20) as answer, pytest.raises(requests.RequestException):
        for chunk in answer.iter_content(1000):
            got += chunk
    assert bytes(got) == data[: len(got)]
    assert len(got) <= 300_000
    put_rules(faulty, {"path": "alt=media", "action": "reset", "after_bytes": 300_000, "times": 1})
    assert bucket.blob("d").download_as_bytes(retry=QUICK) == data


def test_an_answer_comes_byte_by_byte(faulty: Server) -> None:
    requests.post(media_url(faulty, "t"), data=b"0123456789", timeout=20)
    put_rules(faulty, {"path": "alt=media", "action": "trickle", "seconds": 0})
    assert stored(faulty, "t") == b"0123456789"
    put_rules(faulty, {"path": "alt=media", "action": "trickle", "seconds": 3600})
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{faulty.url}/storage/v1/b/faulty/o/t?alt=media", timeout=(20, 0.3))


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


def test_a_request_whose_client_has_gone_is_carried_out_all_the_same(faulty: Server) -> None:
    put_rules(faulty, {"operation": INSERT, "action": "latency", "seconds": 3600})
    with pytest.raises(requests.Timeout):
        requests.post(media_url(faulty, "late"), data=b"x", timeout=(20, 0.2))
    wait_until(lambda: stored(faulty, "late") == b"x")


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
    requests.delete(f"{faulty.url}/_emulator/requests", timeout=20)
    assert requests.get(f"{faulty.url}/_emulator/status", timeout=20).status_code == 200
    counts = requests.get(f"{faulty.url}/_emulator/requests", timeout=20).json()
    assert (counts["bytes_received"], counts["bytes_sent"]) == (0, 0)
    cleared = requests.delete(f"{faulty.url}/_emulator/faults", timeout=20).json()
    assert cleared == {"latency_ms": 0, "rules": []}


def test_requests_are_counted_by_operation(faulty: Server, bucket: storage.Bucket) -> None:
    requests.delete(f"{faulty.url}/_emulator/requests", timeout=20)
    for name in ("a", "b"):
        bucket.blob(name).upload_from_string(b"x" * 1000)
    assert len(list(bucket.list_blobs())) == 2
    bucket.blob("a").download_as_bytes()
    bucket.blob("b").delete()
    counts = requests.get(f"{faulty.url}/_emulator/requests", timeout=20).json()
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
    answer = requests.put(f"{faulty.url}/_emulator/faults", json=document, timeout=20)
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]
    assert fired(faulty) == [0]


def test_rules_end_with_the_server(start: Start) -> None:
    server = start()
    put_rules(server, {"action": "status"}, latency_ms=1)
    server.kill()
    assert requests.get(f"{start().url}/_emulator/faults", timeout=20).json() == {"latency_ms": 0, "rules": []}


@pytest.mark.parametrize(
    ("instruction", "status"),
    [("return-503", 503), ("return-429", 429), ("return-503-after-256K", 503), ("return-503-after-256K/retry-3", 200)],
)
def test_a_request_may_ask_for_its_own_fault(faulty: Server, instruction: str, status: int) -> None:
    headers = {"x-goog-emulator-instructions": instruction}
    answer = requests.post(media_url(faulty, "own"), data=os.urandom(2 * PIECE), headers=headers, timeout=20)
    assert answer.status_code == status
    assert (stored(faulty, "own") is not None) == (status == 200)


def test_instructions_that_break_the_connection(faulty: Server) -> None:
    requests.post(media_url(faulty, "big"), data=os.urandom(8 * PIECE), timeout=20)
    url = f"{faulty.url}/storage/v1/b/faulty/o/big?alt=media"
    for instruction in ("return-reset-connection", "return-broken-stream", "return-broken-stream-after-100K"):
        with pytest.raises(requests.RequestException):
            requests.get(url, headers={"x-goog-emulator-instructions": instruction}, timeout=20).content  # noqa: B018
    good = requests.get(url, timeout=20).content
    corrupted = requests.get(url, headers={"x-goog-emulator-instructions": "return-corrupted-data"}, timeout=20)
    assert corrupted.content != good
    stalled = {"x-goog-emulator-instructions": "stall-for-0s-after-256K"}
    assert requests.get(url, headers=stalled, timeout=20).content == good
    unknown = requests.get(url, headers={"x-goog-emulator-instructions": "return-flowers"}, timeout=20)
    assert unknown.status_code == 400
    assert "return-flowers" in unknown.json()["error"]["message"]


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
