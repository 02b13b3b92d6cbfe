"""Buckets that are shown to everybody: policy, public access prevention, websites, objects at their own addresses."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
import requests
from google.api_core import exceptions as api
from google.cloud import storage

TEXT = b"<!doctype html><title>a page</title>" * 50


def make_public(bucket: storage.Bucket) -> None:
    policy = bucket.get_iam_policy(requested_policy_version=3)
    policy.bindings.append({"role": "roles/storage.objectViewer", "members": {"allUsers"}})
    bucket.set_iam_policy(policy)


def prevent(bucket: storage.Bucket, how: str) -> None:
    bucket.iam_configuration.public_access_prevention = how
    bucket.patch()


@pytest.fixture
def page(server_url: str, bucket: storage.Bucket) -> str:
    """The address of a gzipped object of a bucket that is not public."""
    blob = bucket.blob("p/index.html")
    blob.content_encoding, blob.cache_control = "gzip", "no-cache"
    blob.upload_from_string(gzip.compress(TEXT, mtime=0), content_type="text/html; charset=utf-8")
    return f"{server_url}/{bucket.name}/p/index.html"


def plain(url: str, **headers: str) -> requests.Response:
    """A GET that asks for no encoding unless told."""
    return requests.get(url, headers={"Accept-Encoding": "identity", **headers}, timeout=60)


def test_an_object_is_shown_to_everybody_only_while_the_policy_says_so(page: str, bucket: storage.Bucket) -> None:
    refused = plain(page)
    assert (refused.status_code, "AccessDenied" in refused.text) == (403, True)
    make_public(bucket)
    assert plain(page).content == TEXT
    prevent(bucket, "enforced")
    assert plain(page).status_code == 403
    assert plain(page, Authorization="Bearer token").content == TEXT


def test_a_public_member_is_refused_while_public_access_is_prevented(bucket: storage.Bucket) -> None:
    prevent(bucket, "enforced")
    with pytest.raises(api.PreconditionFailed):
        make_public(bucket)
    prevent(bucket, "inherited")
    make_public(bucket)


def test_gzip_goes_out_as_it_is_stored_only_to_who_takes_it(page: str, bucket: storage.Bucket) -> None:
    make_public(bucket)
    packed = requests.get(page, headers={"Accept-Encoding": "gzip"}, stream=True, timeout=60)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.raw.read(decode_content=False)) == TEXT
    unpacked = plain(page)
    assert "Content-Encoding" not in unpacked.headers
    assert unpacked.headers["Content-Length"] == str(len(TEXT))
    assert unpacked.headers["Content-Type"] == "text/html; charset=utf-8"
    assert unpacked.headers["Cache-Control"] == "no-cache"
    assert unpacked.headers["Vary"] == "Accept-Encoding"
    ranged = plain(page, Range="bytes=0-3")
    assert (ranged.status_code, ranged.content) == (200, TEXT)


def test_no_transform_goes_out_as_it_is_stored_to_everybody(page: str, bucket: storage.Bucket) -> None:
    make_public(bucket)
    blob = bucket.blob("p/index.html")
    blob.cache_control = "no-cache, no-transform"
    blob.patch()
    answer = requests.get(page, headers={"Accept-Encoding": "identity"}, stream=True, timeout=60)
    assert gzip.decompress(answer.raw.read(decode_content=False)) == TEXT


def test_what_says_nothing_of_caching_is_kept_for_an_hour_when_public(
    page: str, server_url: str, bucket: storage.Bucket
) -> None:
    bucket.blob("a b/ü?.txt").upload_from_string(b"x", content_type="text/plain")
    address = f"{server_url}/{bucket.name}/a%20b/%C3%BC%3F.txt"
    assert plain(address, Authorization="Bearer t").headers["Cache-Control"] == "private, max-age=0"
    make_public(bucket)
    assert plain(address).headers["Cache-Control"] == "public, max-age=3600"


def test_what_is_the_same_is_not_sent_again(page: str, bucket: storage.Bucket) -> None:
    make_public(bucket)
    tag = plain(page).headers["ETag"]
    again = plain(page, **{"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    blob = bucket.blob("p/index.html")
    blob.upload_from_string(b"new")
    assert plain(page, **{"If-None-Match": tag}).content == b"new"


def test_a_website_is_kept_and_answers_no_folder_at_the_services_own_name(
    page: str, server_url: str, bucket: storage.Bucket
) -> None:
    make_public(bucket)
    bucket.configure_website("index.html", "404.html")
    bucket.patch()
    wanted = {"mainPageSuffix": "index.html", "notFoundPage": "404.html"}
    assert bucket.client.get_bucket(bucket.name)._properties["website"] == wanted
    assert plain(page.removesuffix("index.html")).status_code == 404
    bucket.disable_website()
    bucket.patch()
    assert "website" not in bucket.client.get_bucket(bucket.name)._properties


def test_there_is_no_such_object(page: str, bucket: storage.Bucket) -> None:
    make_public(bucket)
    missing = plain(page + "x")
    assert (missing.status_code, "NoSuchKey" in missing.text) == (404, True)
    assert missing.headers["Content-Type"].startswith("application/xml")


WRONG: list[dict[str, Any]] = [
    {"website": {"mainPageSuffix": 5}},
    {"website": "index.html"},
    {"iamConfiguration": {"publicAccessPrevention": "yes"}},
    {"iamConfiguration": {"uniformBucketLevelAccess": {"enabled": "yes"}}},
    {"labels": {"a": 5}},
]


@pytest.mark.parametrize("change", WRONG, ids=["suffix", "text", "prevention", "uniform", "label"])
def test_a_bucket_takes_no_values_of_the_wrong_kind(server_url: str, bucket: storage.Bucket, change: Any) -> None:
    url = f"{server_url}/storage/v1/b/{bucket.name}"
    before = requests.get(url, timeout=60).json()
    assert requests.patch(url, json=change, timeout=60).status_code == 400
    assert requests.get(url, timeout=60).json() == before


def test_a_patch_of_a_bucket_is_merged_key_by_key(server_url: str, bucket: storage.Bucket) -> None:
    url = f"{server_url}/storage/v1/b/{bucket.name}"
    requests.patch(url, json={"labels": {"a": "1", "b": "2"}, "website": {"mainPageSuffix": "i"}}, timeout=60)
    after = requests.patch(url, json={"labels": {"a": None, "c": "3"}, "website": None}, timeout=60).json()
    assert after["labels"] == {"b": "2", "c": "3"}
    assert "website" not in after
