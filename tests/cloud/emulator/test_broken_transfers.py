"""Uploads and downloads that break off, stall or are damaged, as unmodified clients meet them."""

from __future__ import annotations

import io
import json
import os
import socket
from urllib.parse import urlsplit

import pytest
import requests
from broken_transfers import INSERT, PIECE, QUICK, fired, media_url, put_rules, session, stored
from emulator_server import Server, wait_until
from google.api_core import exceptions
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption


@pytest.mark.parametrize("after_bytes", [None, 0, 1000, PIECE])
def test_a_reset_in_the_middle_of_an_upload_leaves_no_object(faulty: Server, after_bytes: int | None) -> None:
    put_rules(faulty, {"operation": INSERT, "action": "reset", "after_bytes": after_bytes, "times": 1})
    with pytest.raises(requests.ConnectionError):
        requests.post(media_url(faulty, "cut"), data=os.urandom(4 * PIECE), timeout=60)
    assert stored(faulty, "cut") is None
    assert fired(faulty) == [1]
    assert requests.post(media_url(faulty, "cut"), data=b"again", timeout=60).status_code == 200


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
    assert requests.post(media_url(faulty, "short"), data=b"x" * 1000, timeout=60).status_code == 200
    assert requests.post(media_url(faulty, "long"), data=b"x" * 20 * PIECE, timeout=60).status_code == 503
    assert stored(faulty, "long") is None


@pytest.mark.parametrize("action", ["reset", "status", "stall"])
@pytest.mark.parametrize("received", [PIECE - 1, 2 * PIECE, 2 * PIECE + 777])
def test_an_interrupted_piece_is_kept_in_multiples_of_256_kib(faulty: Server, action: str, received: int) -> None:
    data, url = os.urandom(5 * PIECE + 3), session(faulty, "resumed")
    rule = {"method": "PUT", "path": "upload_id", "action": action, "after_bytes": received, "times": 1}
    put_rules(faulty, rule | {"seconds": 0.01})
    if action != "status":
        with pytest.raises(requests.ConnectionError):
            requests.put(url, data=data, timeout=60)
    else:
        assert requests.put(url, data=data, timeout=60).status_code == 503
    asked = requests.put(url, headers={"Content-Range": f"bytes */{len(data)}"}, timeout=60)
    kept = received - received % PIECE
    assert asked.status_code == 308
    assert asked.headers.get("Range") == (f"bytes=0-{kept - 1}" if kept else None)
    rest = {"Content-Range": f"bytes {kept}-{len(data) - 1}/{len(data)}"}
    assert requests.put(url, data=data[kept:], headers=rest, timeout=60).status_code == 200
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
        requests.post(media_url(faulty, "stalled"), data=b"x", timeout=(60, 0.3))
    assert stored(faulty, "stalled") is None
    put_rules(faulty, {"operation": INSERT, "action": "stall", "seconds": 0.01, "times": 1})
    with pytest.raises(requests.ConnectionError):
        requests.post(media_url(faulty, "stalled"), data=b"x", timeout=60)


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
        answer = requests.post(path, data=body + b"\r\n--x--", headers=headers, timeout=60)
        assert answer.status_code == 400
    assert stored(faulty, "u") is None
    bucket.blob("u").upload_from_string(data, checksum="crc32c")


def test_a_download_that_breaks_off(faulty: Server, bucket: storage.Bucket) -> None:
    data = os.urandom(2 << 20)
    bucket.blob("d").upload_from_string(data)
    put_rules(faulty, {"path": "alt=media", "action": "reset", "after_bytes": 300_000, "times": 1})
    url = f"{faulty.url}/storage/v1/b/faulty/o/d?alt=media"
    got = bytearray()
    with requests.get(url, stream=True, timeout=60) as answer, pytest.raises(requests.RequestException):
        for chunk in answer.iter_content(1000):
            got += chunk
    assert bytes(got) == data[: len(got)]
    assert len(got) <= 300_000
    put_rules(faulty, {"path": "alt=media", "action": "reset", "after_bytes": 300_000, "times": 1})
    assert bucket.blob("d").download_as_bytes(retry=QUICK) == data


def test_an_answer_comes_byte_by_byte(faulty: Server) -> None:
    requests.post(media_url(faulty, "t"), data=b"0123456789", timeout=60)
    put_rules(faulty, {"path": "alt=media", "action": "trickle", "seconds": 0})
    assert stored(faulty, "t") == b"0123456789"
    put_rules(faulty, {"path": "alt=media", "action": "trickle", "seconds": 3600})
    address = urlsplit(faulty.url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        head = f"GET /storage/v1/b/faulty/o/t?alt=media HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n"
        connection.sendall(head.encode())
        received = b""
        while not received.partition(b"\r\n\r\n")[2]:
            received += connection.recv(1 << 16)
        assert received.endswith(b"\r\n\r\n0")
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_a_request_whose_client_has_gone_is_carried_out_all_the_same(faulty: Server) -> None:
    put_rules(faulty, {"operation": INSERT, "action": "latency", "seconds": 3600})
    with pytest.raises(requests.Timeout):
        requests.post(media_url(faulty, "late"), data=b"x", timeout=(60, 0.2))
    wait_until(lambda: stored(faulty, "late") == b"x")


def test_instructions_that_break_the_connection(faulty: Server) -> None:
    requests.post(media_url(faulty, "big"), data=os.urandom(8 * PIECE), timeout=60)
    url = f"{faulty.url}/storage/v1/b/faulty/o/big?alt=media"
    for instruction in ("return-reset-connection", "return-broken-stream", "return-broken-stream-after-100K"):
        with pytest.raises(requests.RequestException):
            requests.get(url, headers={"x-goog-emulator-instructions": instruction}, timeout=60).content  # noqa: B018
    good = requests.get(url, timeout=60).content
    corrupted = requests.get(url, headers={"x-goog-emulator-instructions": "return-corrupted-data"}, timeout=60)
    assert corrupted.content != good
    stalled = {"x-goog-emulator-instructions": "stall-for-0s-after-256K"}
    assert requests.get(url, headers=stalled, timeout=60).content == good
    unknown = requests.get(url, headers={"x-goog-emulator-instructions": "return-flowers"}, timeout=60)
    assert unknown.status_code == 400
    assert "return-flowers" in unknown.json()["error"]["message"]
