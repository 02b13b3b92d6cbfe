"""The four preconditions on every method (https://cloud.google.com/storage/docs/request-preconditions)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import requests
from google.cloud import storage

Ask = Callable[[str, str, dict[str, int]], requests.Response]
METHODS = ("insert", "compose", "patch", "delete", "get", "download")


@pytest.fixture
def ask(server_url: str, bucket: storage.Bucket) -> Ask:
    """Does one thing to an object under conditions."""

    def do(method: str, name: str, conditions: dict[str, int]) -> requests.Response:
        item = f"{server_url}/storage/v1/b/{bucket.name}/o/{name}"
        source = {"sourceObjects": [{"name": "source"}], "destination": {}}
        verb, url, options = {
            "insert": ("POST", f"{server_url}/upload/storage/v1/b/{bucket.name}/o?uploadType=media&name={name}", {}),
            "compose": ("POST", f"{item}/compose", {"json": source}),
            "patch": ("PATCH", item, {"json": {"metadata": {"a": "b"}}}),
            "delete": ("DELETE", item, {}),
            "get": ("GET", item, {}),
            "download": ("GET", f"{item}?alt=media", {}),
        }[method]
        return requests.request(verb, url, params=conditions, timeout=60, **options)

    bucket.blob("source").upload_from_string(b"source")
    return do


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("condition", "offset", "holds"),
    [
        ("ifGenerationMatch", 0, True),
        ("ifGenerationMatch", 1, False),
        ("ifGenerationNotMatch", 1, True),
        ("ifGenerationNotMatch", 0, False),
        ("ifMetagenerationMatch", 0, True),
        ("ifMetagenerationMatch", 1, False),
        ("ifMetagenerationNotMatch", 1, True),
        ("ifMetagenerationNotMatch", 0, False),
    ],
)
def test_an_object_that_exists(
    ask: Ask, bucket: storage.Bucket, method: str, condition: str, offset: int, holds: bool
) -> None:
    blob = bucket.blob("x")
    blob.upload_from_string(b"x")
    value = (blob.metageneration if "Metageneration" in condition else blob.generation) + offset
    answer = ask(method, "x", {condition: value})
    if holds:
        assert answer.status_code in {200, 204}
        return
    reading = method in {"get", "download"} and "NotMatch" in condition
    assert answer.status_code == (304 if reading else 412)
    again = bucket.get_blob("x")
    assert again is not None
    assert (again.generation, again.metageneration) == (blob.generation, blob.metageneration)


@pytest.mark.parametrize(
    ("condition", "value", "status"),
    [
        ("ifGenerationMatch", 0, 200),
        ("ifGenerationMatch", 5, 412),
        ("ifGenerationNotMatch", 0, 412),
        ("ifGenerationNotMatch", 5, 200),
        ("ifMetagenerationMatch", 1, 412),
    ],
)
@pytest.mark.parametrize("method", ["insert", "compose"])
def test_an_object_that_does_not(ask: Ask, method: str, condition: str, value: int, status: int) -> None:
    assert ask(method, "new", {condition: value}).status_code == status


def test_a_condition_that_is_no_number_is_refused(server_url: str, bucket: storage.Bucket) -> None:
    url = f"{server_url}/upload/storage/v1/b/{bucket.name}/o?uploadType=media&name=x&ifGenerationMatch=soon"
    assert requests.post(url, data=b"x", timeout=60).status_code == 400
