"""What clients do with a connection that the SDKs do not: as bytes on a socket."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
import requests
from emulator_server import Server, Start, start_busy, wait_until

from cxr.cloud.emulator.settings import EmulatorSettings
from cxr.cloud.emulator.state.database import Database
from cxr.cloud.emulator.vertex_api.messages import types
from cxr.cloud.emulator.vertex_api.operations import begin, finish

UPLOAD = "/upload/storage/v1/b/wire/o?uploadType=media&name="


@contextmanager
def connected(server: Server) -> Iterator[socket.socket]:
    """A connection to the server."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        yield connection


def refuses(server: Server) -> bool:
    """Whether it takes no connection any more."""
    try:
        with connected(server):
            return False
    except ConnectionRefusedError:
        return True


def request(server: Server, line: str, *headers: str, body: bytes = b"") -> bytes:
    """A request as bytes."""
    lines = [f"{line} HTTP/1.1", f"Host: {urlsplit(server.url).netloc}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def all_of(connection: socket.socket) -> bytes:
    """What the server sends until it closes."""
    received = b""
    while piece := connection.recv(1 << 20):
        received += piece
    return received


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def stored(server: Server, name: str) -> bytes | None:
    answer = requests.get(f"{server.url}/storage/v1/b/wire/o/{name}?alt=media", timeout=60)
    return answer.content if answer.status_code == 200 else None


@pytest.fixture
def wire(server: Server) -> Server:
    """The shared server with a bucket."""
    server.bucket("wire")
    return server


def test_a_request_behind_a_chunked_body_is_not_part_of_it(wire: Server) -> None:
    first = request(wire, f"POST {UPLOAD}chunked", "Transfer-Encoding: chunked", body=b"5\r\nfirst\r\n0\r\n\r\n")
    hash_of_other = "X-Goog-Hash: crc32c=AAAAAA=="
    second = request(wire, f"POST {UPLOAD}second", "Content-Length: 6", hash_of_other, body=b"second")
    with connected(wire) as connection:
        connection.sendall(first + second)
        assert status_of(all_of(connection)) == 200
    assert stored(wire, "chunked") == b"first"


def test_a_connection_ends_when_the_client_wants_that(wire: Server) -> None:
    with connected(wire) as connection:
        connection.sendall(request(wire, "GET /_emulator/status", "Connection: close"))
        answer = all_of(connection)
    assert b"Connection: close" in answer


def test_trailers_are_no_headers(wire: Server) -> None:
    body = b"5\r\nfirst\r\n0\r\nX-Goog-Hash: crc32c=AAAAAA==\r\n\r\n"
    with connected(wire) as connection:
        head = request(wire, f"POST {UPLOAD}trailed", "Transfer-Encoding: chunked", "Connection: close")
        connection.sendall(head + body)
        assert status_of(all_of(connection)) == 200


@pytest.mark.parametrize(
    "path", ["/storage/v1/b", "/_emulator/faults", "/v1/projects/p/locations/us-central1/datasets"]
)
def test_json_without_end_in_depth_is_refused(wire: Server, path: str) -> None:
    method = "PUT" if path.startswith("/_emulator") else "POST"
    answer = requests.request(method, wire.url + path, data=b'{"a":' * 200_000, timeout=60)
    assert answer.status_code == 400


def test_metadata_without_end_in_depth_are_refused_also_while_a_rule_waits_for_the_name(wire: Server) -> None:
    rule = {"object": "never", "action": "reset"}
    requests.put(f"{wire.url}/_emulator/faults", json={"rules": [rule]}, timeout=60)
    body = b"--x\r\n\r\n" + b"[" * 50_000 + b"\r\n--x\r\n\r\nbytes\r\n--x--"
    url = f"{wire.url}/upload/storage/v1/b/wire/o?uploadType=multipart"
    headers = {"Content-Type": "multipart/related; boundary=x"}
    assert requests.post(url, data=body, headers=headers, timeout=60).status_code == 400
    requests.delete(f"{wire.url}/_emulator/faults", timeout=60)


@pytest.mark.parametrize(
    "path", ["/storage/v1/b/wire/o/%FF", f"{UPLOAD}%FF", f"{UPLOAD}%ED%A0%80", "/storage/v1/b/wire/o?prefix=%C3"]
)
def test_what_is_not_utf8_is_refused_and_not_changed(wire: Server, path: str) -> None:
    answer = requests.request("POST" if "upload" in path else "GET", wire.url + path, data=b"x", timeout=60)
    assert answer.status_code == 400


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_body_without_a_length_is_refused(wire: Server, method: str) -> None:
    with connected(wire) as connection:
        connection.sendall(request(wire, f"{method} {UPLOAD}unannounced", "Connection: close"))
        assert status_of(all_of(connection)) == 411
    assert stored(wire, "unannounced") is None


def test_a_client_that_has_closed_its_side_gets_all_of_its_answers(wire: Server) -> None:
    data = b"0123456789" * 1_000_000
    wire.put("wire", "large", data)
    wire.put("wire", "small", b"small")
    large, small = (request(wire, f"GET /storage/v1/b/wire/o/{name}?alt=media") for name in ("large", "small"))
    with connected(wire) as connection:
        connection.sendall(large + small)
        connection.shutdown(socket.SHUT_WR)
        received = all_of(connection)
    assert data in received
    assert received.endswith(b"small")


def test_answers_wait_for_a_client_that_does_not_read(wire: Server) -> None:
    size, count = 1 << 20, 100
    wire.put("wire", "mebibyte", bytes(size))
    requests.delete(f"{wire.url}/_emulator/requests", timeout=60)
    with connected(wire) as connection, requests.Session() as session:
        connection.sendall(request(wire, "GET /storage/v1/b/wire/o/mebibyte?alt=media") * count)
        for _ in range(3 * count):  # in the meantime the server is through with whatever it does not wait for
            session.get(f"{wire.url}/_emulator/status", timeout=60)
        counts = session.get(f"{wire.url}/_emulator/requests", timeout=60).json()
        assert counts["storage.objects.get"] < count / 2
        received = 0
        while received < size * count:
            received += len(connection.recv(1 << 20))


def test_a_body_that_does_not_go_on_keeps_no_server_alive(start: Start) -> None:
    server = start_busy(start, idle_exit_seconds=1.0)
    with connected(server) as connection:
        connection.sendall(request(server, f"POST {UPLOAD}half", "Content-Length: 10", body=b"half"))
        server.let_go()
        wait_until(lambda: not (server.state / "server.json").exists())


def test_a_stop_answers_what_is_under_way_and_says_that_the_connection_ends(start: Start) -> None:
    server = start()
    server.bucket("wire")
    rule = {"path": "slow", "action": "latency", "seconds": 0}  # counts when the request has begun
    requests.put(f"{server.url}/_emulator/faults", json={"rules": [rule]}, timeout=60)
    with connected(server) as connection:
        connection.sendall(request(server, f"POST {UPLOAD}slow", "Content-Length: 2", body=b"1"))
        faults = f"{server.url}/_emulator/faults"
        wait_until(lambda: requests.get(faults, timeout=60).json()["rules"][0]["fired"] == 1)
        os.kill(server.pid, signal.SIGTERM)
        wait_until(lambda: refuses(server))
        connection.sendall(b"2")
        answer = all_of(connection)
    assert status_of(answer) == 200
    assert b"Connection: close" in answer


def test_waiting_for_an_operation_keeps_no_other_request_from_its_answer(start: Start) -> None:
    server = start()
    server.bucket("wire")
    database = Database(EmulatorSettings(server.state).database_path)
    with database.write() as connection:  # nobody tells the server to begin with it
        work = {"dataset": "none", "configs": []}
        name = begin(connection, f"{server.parent}/datasets/1", "import", types.ImportDataOperationMetadata, work)[
            "name"
        ]
    url = f"{server.url}/v1/{name}:wait"
    with ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(requests.post, url, json={"timeout": "60s"}, timeout=120) for _ in range(20)]
        counts = f"{server.url}/_emulator/requests"
        wait_until(lambda: requests.get(counts, timeout=60).json()["connections"] >= 20)
        assert requests.get(f"{server.url}/storage/v1/b/wire/o", timeout=60).status_code == 200
        assert not any(future.done() for future in waiting)
        with database.write() as connection:
            finish(connection, name)
        assert [future.result().status_code for future in waiting] == [200] * 20
    database.close()


def test_methods_and_heads_that_are_not_taken_are_answered(wire: Server) -> None:
    with connected(wire) as connection:
        connection.sendall(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
        assert 400 <= status_of(all_of(connection)) < 500
    with connected(wire) as connection:
        connection.sendall(request(wire, "GET /", f"X-Long: {'x' * 70_000}"))
        assert status_of(all_of(connection)) == 431


def test_a_body_beyond_what_an_object_may_have_is_refused_at_once(wire: Server) -> None:
    with connected(wire) as connection:
        connection.sendall(request(wire, f"POST {UPLOAD}huge", f"Content-Length: {6 << 40}"))
        assert status_of(all_of(connection)) == 400
