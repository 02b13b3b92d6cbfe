"""Resumable uploads, as https://cloud.google.com/storage/docs/performing-resumable-uploads describes them."""

from __future__ import annotations

import base64
import hashlib
import io
import os

import google_crc32c
import pytest
import requests
from google.api_core import exceptions
from google.cloud import storage

PIECE = 256 * 1024


def crc32c(data: bytes) -> str:
    return base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()


def put(url: str, data: bytes, content_range: str, **headers: str) -> requests.Response:
    return requests.put(url, data=data, headers={"Content-Range": content_range, **headers}, timeout=60)


def test_a_large_file_goes_in_pieces(bucket: storage.Bucket) -> None:
    data = os.urandom(3 * PIECE + 12345)
    blob = bucket.blob("large", chunk_size=PIECE)
    blob.upload_from_file(io.BytesIO(data), checksum="crc32c")  # of unknown size, therefore in pieces
    blob.reload()
    assert (blob.size, blob.crc32c) == (len(data), crc32c(data))
    assert bucket.blob("large").download_as_bytes() == data


def test_an_interrupted_upload_goes_on_where_it_was(bucket: storage.Bucket) -> None:
    data = os.urandom(2 * PIECE + 777)
    url = bucket.blob("resumed").create_resumable_upload_session(content_type="image/jpeg", size=len(data))
    total = len(data)
    nothing_yet = put(url, b"", f"bytes */{total}")
    assert (nothing_yet.status_code, "Range" in nothing_yet.headers) == (308, False)
    first = put(url, data[:PIECE], f"bytes 0-{PIECE - 1}/{total}")
    assert (first.status_code, first.headers["Range"]) == (308, f"bytes=0-{PIECE - 1}")
    asked = put(url, b"", f"bytes */{total}")
    assert (asked.status_code, asked.headers["Range"]) == (308, f"bytes=0-{PIECE - 1}")
    assert bucket.get_blob("resumed") is None
    last = put(url, data[PIECE:], f"bytes {PIECE}-{total - 1}/{total}")
    assert (last.status_code in {200, 201}, last.json()["size"]) == (True, str(total))
    assert bucket.blob("resumed").download_as_bytes() == data


@pytest.mark.parametrize("total", ["known", "*"])
def test_a_finished_upload_says_so_when_asked(bucket: storage.Bucket, total: str) -> None:
    url = bucket.blob("finished").create_resumable_upload_session(content_type="image/jpeg")
    done = put(url, b"0123456789", "bytes 0-9/10")
    asked = put(url, b"", "bytes */10" if total == "known" else "bytes */*")
    assert done.status_code in {200, 201}
    assert asked.status_code in {200, 201}
    assert asked.json()["generation"] == done.json()["generation"]


def test_a_whole_upload_in_one_piece_needs_no_range(bucket: storage.Bucket) -> None:
    url = bucket.blob("whole").create_resumable_upload_session(content_type="image/jpeg")
    assert requests.put(url, data=b"all of it", timeout=60).status_code in {200, 201}
    assert bucket.blob("whole").download_as_bytes() == b"all of it"


def test_a_piece_that_is_sent_again_changes_nothing(bucket: storage.Bucket) -> None:
    data = os.urandom(2 * PIECE + 9)
    url = bucket.blob("twice").create_resumable_upload_session(size=len(data))
    for _ in range(2):
        answer = put(url, data[:PIECE], f"bytes 0-{PIECE - 1}/*")
        assert (answer.status_code, answer.headers["Range"]) == (308, f"bytes=0-{PIECE - 1}")
    overlapping = put(url, data, f"bytes 0-{len(data) - 1}/{len(data)}")
    assert overlapping.status_code in {200, 201}
    assert bucket.blob("twice").download_as_bytes() == data


def test_an_unfinished_piece_is_kept_in_multiples_of_256_kib(bucket: storage.Bucket) -> None:
    data = os.urandom(2 * PIECE)
    url = bucket.blob("odd").create_resumable_upload_session(size=len(data))
    answer = put(url, data[: PIECE + 100], f"bytes 0-{PIECE + 99}/{len(data)}")
    assert (answer.status_code, answer.headers["Range"]) == (308, f"bytes=0-{PIECE - 1}")
    assert put(url, data[PIECE:], f"bytes {PIECE}-{2 * PIECE - 1}/{2 * PIECE}").status_code in {200, 201}
    assert bucket.blob("odd").download_as_bytes() == data


@pytest.mark.parametrize("content_range", ["bytes 5-1/10", "octets 0-9/10", "bytes 0-9", "nonsense"])
def test_a_range_that_cannot_be_read_is_refused(bucket: storage.Bucket, content_range: str) -> None:
    url = bucket.blob("bad-range").create_resumable_upload_session()
    assert put(url, b"0123456789", content_range).status_code == 400
    assert bucket.get_blob("bad-range") is None


def test_a_gap_is_refused(bucket: storage.Bucket) -> None:
    url = bucket.blob("gap").create_resumable_upload_session()
    assert 400 <= put(url, b"x", f"bytes {PIECE}-{PIECE}/{PIECE + 1}").status_code < 600
    assert bucket.get_blob("gap") is None


def test_a_resumable_upload_keeps_its_precondition(bucket: storage.Bucket) -> None:
    url = bucket.blob("race").create_resumable_upload_session(size=3, if_generation_match=0)
    bucket.blob("race").upload_from_string(b"won")
    late = put(url, b"too", "bytes 0-2/3")
    assert late.status_code == 412
    assert bucket.blob("race").download_as_bytes() == b"won"


def test_a_precondition_that_fails_at_once_makes_no_session(bucket: storage.Bucket) -> None:
    bucket.blob("there").upload_from_string(b"x")
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("there").create_resumable_upload_session(if_generation_match=0)


@pytest.mark.parametrize("algorithm", ["crc32c", "md5"])
@pytest.mark.parametrize("where", ["session", "last piece"])
def test_a_wrong_checksum_makes_no_object(server_url: str, bucket: storage.Bucket, algorithm: str, where: str) -> None:
    meant = b"what was meant"
    md5 = base64.b64encode(hashlib.md5(meant).digest()).decode()
    header = {"X-Goog-Hash": f"crc32c={crc32c(meant)}" if algorithm == "crc32c" else f"md5={md5}"}
    start = f"{server_url}/upload/storage/v1/b/{bucket.name}/o?uploadType=resumable&name=checked"
    for data, good in ((b"what arrived", False), (meant, True)):
        begun = requests.post(start, json={}, headers=header if where == "session" else {}, timeout=60)
        last = header if where == "last piece" else {}
        size = len(data)
        answer = put(begun.headers["Location"], data, f"bytes 0-{size - 1}/{size}", **last)
        assert (answer.status_code in {200, 201}, answer.status_code == 400) == (good, not good)
        assert (bucket.get_blob("checked") is not None) == good


def test_metadata_of_the_session_are_the_objects(server_url: str, bucket: storage.Bucket) -> None:
    start = f"{server_url}/upload/storage/v1/b/{bucket.name}/o?uploadType=resumable"
    metadata = {"name": "described", "metadata": {"sha256": "0" * 64}}
    begun = requests.post(start, json=metadata, headers={"X-Upload-Content-Type": "image/jpeg"}, timeout=60)
    requests.put(begun.headers["Location"], data=b"x", timeout=60)
    blob = bucket.get_blob("described")
    assert blob is not None
    assert (blob.content_type, blob.metadata) == ("image/jpeg", {"sha256": "0" * 64})


def test_a_cancelled_or_unknown_session_is_gone(bucket: storage.Bucket) -> None:
    url = bucket.blob("cancelled").create_resumable_upload_session()
    assert requests.delete(url, timeout=60).status_code == 499
    assert put(url, b"x", "bytes 0-0/1").status_code in {404, 410, 499}
    unknown = url[:-4] + ("0000" if not url.endswith("0000") else "1111")
    assert put(unknown, b"", "bytes */1").status_code in {404, 410}
    assert bucket.get_blob("cancelled") is None


@pytest.mark.parametrize("later", ["*/262144", "262144-262145/262146", "262144-786431/*"])
def test_the_first_total_holds_for_the_whole_upload(bucket: storage.Bucket, later: str) -> None:
    data = os.urandom(2 * PIECE)
    url = bucket.blob("total").create_resumable_upload_session()
    assert put(url, data[:PIECE], f"bytes 0-{PIECE - 1}/{2 * PIECE}").status_code == 308
    span = later.partition("/")[0]
    size = 0 if span == "*" else int(span.partition("-")[2]) - PIECE + 1
    assert put(url, bytes(size), f"bytes {later}").status_code == 400
    assert bucket.get_blob("total") is None
    assert put(url, data[PIECE:], f"bytes {PIECE}-{2 * PIECE - 1}/{2 * PIECE}").status_code in {200, 201}
    assert bucket.blob("total").download_as_bytes() == data


def test_the_length_that_the_session_was_opened_with_holds(bucket: storage.Bucket) -> None:
    url = bucket.blob("declared").create_resumable_upload_session(size=20)
    assert put(url, b"0123456789", "bytes 0-9/10").status_code == 400
    assert bucket.get_blob("declared") is None
    assert requests.put(url, data=b"0123456789" * 2, timeout=60).status_code in {200, 201}


def test_bytes_without_a_place_are_refused(bucket: storage.Bucket) -> None:
    url = bucket.blob("placeless").create_resumable_upload_session()
    assert put(url, b"0123456789", "bytes */10").status_code == 400
    assert bucket.get_blob("placeless") is None


def test_a_finished_upload_answers_with_the_object_that_it_made(bucket: storage.Bucket) -> None:
    url = bucket.blob("made").create_resumable_upload_session(content_type="image/jpeg")
    done = put(url, b"0123456789", "bytes 0-9/10").json()
    bucket.blob("made").upload_from_string(b"other")
    assert put(url, b"", "bytes */10").json() == done
    bucket.delete_blob("made")
    assert put(url, b"", "bytes */*").json() == done
