"""Objects made of objects: compose, copy and rewrite."""

from __future__ import annotations

import base64
import os

import google_crc32c
import pytest
import requests
from google.api_core import exceptions
from google.cloud import storage


def put(bucket: storage.Bucket, name: str, data: bytes) -> storage.Blob:
    blob = bucket.blob(name)
    blob.upload_from_string(data)
    return blob


def test_a_composed_object_has_all_bytes_a_crc32c_and_no_md5(bucket: storage.Bucket) -> None:
    pieces = [os.urandom(size) for size in (10, 0, 300_000, (1 << 20) + 7)]
    sources = [put(bucket, f"piece-{number}", data) for number, data in enumerate(pieces)]
    target = bucket.blob("composed")
    target.content_type, target.metadata = "image/jpeg", {"label": "NORMAL"}
    target.compose(sources, if_generation_match=0)
    whole = b"".join(pieces)
    found = bucket.get_blob("composed")
    assert found is not None
    assert (found.size, found.component_count, found.md5_hash) == (len(whole), 4, None)
    assert found.crc32c == base64.b64encode(google_crc32c.value(whole).to_bytes(4, "big")).decode()
    assert (found.content_type, found.metadata) == ("image/jpeg", {"label": "NORMAL"})
    assert found.download_as_bytes(checksum="crc32c") == whole
    again = bucket.blob("composed")
    again.content_type = "image/jpeg"
    again.compose([found, sources[0]], if_generation_match=found.generation)
    assert again.component_count == 5
    assert again.download_as_bytes(checksum="crc32c") == whole + pieces[0]


def test_compose_keeps_its_preconditions(bucket: storage.Bucket) -> None:
    source = put(bucket, "source", b"x")
    target = put(bucket, "target", b"old")
    new = bucket.blob("target")
    with pytest.raises(exceptions.PreconditionFailed):
        new.compose([source], if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        new.compose([source], if_source_generation_match=[source.generation + 1])
    assert bucket.blob("target").download_as_bytes() == b"old"
    new.compose([source], if_generation_match=target.generation, if_source_generation_match=[source.generation])
    assert bucket.blob("target").download_as_bytes() == b"x"


@pytest.mark.parametrize("count", [0, 33])
def test_compose_takes_1_to_32_sources(server_url: str, bucket: storage.Bucket, count: int) -> None:
    put(bucket, "s", b"x")
    url = f"{server_url}/storage/v1/b/{bucket.name}/o/target/compose"
    answer = requests.post(url, json={"sourceObjects": [{"name": "s"}] * count, "destination": {}}, timeout=60)
    assert answer.status_code == 400
    most = requests.post(url, json={"sourceObjects": [{"name": "s"}] * 32, "destination": {}}, timeout=60)
    assert most.json()["componentCount"] == 32


def test_compose_without_a_source_object_is_not_found(bucket: storage.Bucket) -> None:
    with pytest.raises(exceptions.NotFound):
        bucket.blob("target").compose([bucket.blob("there-is-none")])
    assert bucket.get_blob("target") is None


@pytest.mark.parametrize("size", [5, (2 << 20) + 1])
def test_copies(bucket: storage.Bucket, size: int) -> None:
    data = os.urandom(size)
    source = bucket.blob("a/source é")
    source.metadata = {"label": "NORMAL"}
    source.upload_from_string(data, content_type="image/jpeg")
    copied = bucket.copy_blob(source, bucket, "b/copied")
    assert (copied.content_type, copied.metadata) == ("image/jpeg", {"label": "NORMAL"})
    rewritten = bucket.blob("c/rewritten")
    assert rewritten.rewrite(source, if_generation_match=0) == (None, size, size)
    source.delete()
    for blob in (copied, rewritten):
        assert (blob.md5_hash, blob.crc32c) == (source.md5_hash, source.crc32c)
        assert blob.download_as_bytes() == data
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("c/rewritten").rewrite(copied, if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("d").rewrite(copied, if_source_generation_match=copied.generation + 1)
