"""Values that the service refuses: of the wrong type, too large, not to be represented."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from google.cloud import storage

DIGITS = "1" * 5_000
WRONG_ATTRIBUTES: list[dict[str, Any]] = [
    {"metadata": {"a": 5}},
    {"metadata": {"a": {"b": 1}}},
    {"metadata": "text"},
    {"metadata": {"a": "x" * 9_000}},
    {"contentType": 7},
    {"cacheControl": ["no-cache"]},
]


@pytest.fixture
def objects(server_url: str, bucket: storage.Bucket) -> str:
    """The URL of a bucket's objects; there is one, `x`."""
    bucket.blob("x").upload_from_string(b"0123456789", content_type="image/jpeg")
    return f"{server_url}/storage/v1/b/{bucket.name}/o"


def insert(objects: str, metadata: Any) -> requests.Response:
    text = json.dumps(metadata).encode()
    body = b"--b\r\n\r\n" + text + b"\r\n--b\r\n\r\nbytes\r\n--b--"
    url = objects.replace("/storage/v1/", "/upload/storage/v1/") + "?uploadType=multipart"
    return requests.post(url, data=body, headers={"Content-Type": "multipart/related; boundary=b"}, timeout=60)


@pytest.mark.parametrize("attributes", WRONG_ATTRIBUTES, ids=["number", "object", "text", "long", "type", "list"])
@pytest.mark.parametrize("how", ["insert", "resumable", "patch", "compose", "copy"])
def test_attributes_of_the_wrong_kind_are_refused(objects: str, how: str, attributes: dict[str, Any]) -> None:
    before = requests.get(f"{objects}/x", timeout=60).json()
    if how == "insert":
        answer = insert(objects, {"name": "new", **attributes})
    elif how == "resumable":
        url = objects.replace("/storage/v1/", "/upload/storage/v1/") + "?uploadType=resumable"
        answer = requests.post(url, json={"name": "new", **attributes}, timeout=60)
    elif how == "patch":
        answer = requests.patch(f"{objects}/x", json=attributes, timeout=60)
    elif how == "compose":
        body = {"sourceObjects": [{"name": "x"}], "destination": attributes}
        answer = requests.post(f"{objects}/new/compose", json=body, timeout=60)
    else:
        target = objects.partition("/storage/v1/")[2]
        answer = requests.post(f"{objects}/x/copyTo/{target}/new", json=attributes, timeout=60)
    assert answer.status_code == 400, answer.text
    assert requests.get(f"{objects}/x", timeout=60).json() == before
    assert requests.get(f"{objects}/new", timeout=60).status_code == 404


@pytest.mark.parametrize("metadata", [{"name": "\ud800"}, {"name": "ok", "metadata": {"a": "\udfff"}}], ids=str)
def test_half_of_a_surrogate_pair_is_refused(objects: str, metadata: dict[str, Any]) -> None:
    assert insert(objects, metadata).status_code == 400
    assert requests.patch(f"{objects}/x", data=json.dumps(metadata | {"contentType": "\ud800"})).status_code == 400
    assert [item["name"] for item in requests.get(objects, timeout=60).json()["items"]] == ["x"]


@pytest.mark.parametrize(
    "body",
    [
        {"sourceObjects": [{"name": "x"}], "destination": "x"},
        {"sourceObjects": [{"name": "x", "objectPreconditions": "x"}]},
        {"sourceObjects": [{"name": 5}]},
        {"sourceObjects": [{"name": "x", "generation": "abc"}]},
        {"sourceObjects": [{"name": "x", "objectPreconditions": {"ifGenerationMatch": DIGITS}}]},
    ],
    ids=["destination", "conditions", "name", "generation", "huge"],
)
def test_a_composition_of_the_wrong_kind_is_refused(objects: str, body: dict[str, Any]) -> None:
    assert requests.post(f"{objects}/new/compose", json=body, timeout=60).status_code == 400


def test_an_object_without_a_type_can_be_copied(objects: str) -> None:
    assert requests.patch(f"{objects}/x", json={"contentType": None}, timeout=60).status_code == 200
    target = objects.partition("/storage/v1/")[2]
    assert requests.post(f"{objects}/x/copyTo/{target}/copy", timeout=60, json={}).status_code == 200


@pytest.mark.parametrize(
    "attributes",
    [
        {"iamConfiguration": "x"},
        {"iamConfiguration": {"publicAccessPrevention": {}}},
        {"labels": ["x"]},
        {"cors": "x"},
        {"storageClass": 5},
    ],
    ids=str,
)
def test_a_bucket_of_the_wrong_kind_is_refused(objects: str, attributes: dict[str, Any]) -> None:
    buckets, _, name = objects.removesuffix("/o").rpartition("/")
    new = {"name": f"{name}-new", "location": "us-central1", **attributes}
    assert requests.post(f"{buckets}?project=p", json=new, timeout=60).status_code == 400
    assert requests.patch(f"{buckets}/{name}", json=attributes, timeout=60).status_code == 400
    assert requests.get(f"{buckets}/{name}-new", timeout=60).status_code == 404


@pytest.mark.parametrize(
    "query",
    [
        f"/x?ifGenerationMatch={DIGITS}",
        f"/x?ifGenerationMatch={1 << 63}",
        "/x?generation=abc",
        f"/x?generation={DIGITS}",
        f"?maxResults={DIGITS}",
        "/x?fields=bogus",
        "?fields=items(name,bogus)",
        f"?fields={'items/' * 5_000}name",
    ],
    ids=["huge", "65 bits", "letters", "huge generation", "huge page", "field", "inner field", "deep"],
)
def test_parameters_of_the_wrong_kind_are_refused(objects: str, query: str) -> None:
    assert requests.get(objects + query, timeout=60).status_code == 400


@pytest.mark.parametrize(
    ("header", "status", "content"),
    [
        (f"bytes=0-{DIGITS}", 206, b"0123456789"),
        (f"bytes=-{DIGITS}", 206, b"0123456789"),
        (f"bytes={DIGITS}-", 416, None),
        ("bytes=10-", 416, None),
    ],
    ids=["last", "suffix", "first", "end"],
)
def test_ranges_beyond_the_end(objects: str, header: str, status: int, content: bytes | None) -> None:
    answer = requests.get(f"{objects}/x?alt=media", headers={"Range": header}, timeout=60)
    assert answer.status_code == status
    if content is None:
        assert answer.headers["Content-Range"] == "bytes */10"
    else:
        assert answer.content == content


def test_a_head_is_a_get_without_its_body(objects: str) -> None:
    for path in ("/x", "/x?alt=media"):
        got, head = (requests.request(method, objects + path, timeout=60) for method in ("GET", "HEAD"))
        assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(got.content)))
        assert head.content == b""


def test_pages_with_a_delimiter_of_several_letters(objects: str, bucket: storage.Bucket) -> None:
    names = ["a--", "a--b", "a--b--c", "a--b--d", "a--c"]
    for name in names:
        bucket.blob(name).upload_from_string(b".")
    whole = bucket.list_blobs(prefix="a-", delimiter="--")
    paged = bucket.list_blobs(prefix="a-", delimiter="--", page_size=1)
    assert [blob.name for blob in whole] == [blob.name for blob in paged] == ["a--", "a--b", "a--c"]
    assert whole.prefixes == paged.prefixes == {"a--b--"}
