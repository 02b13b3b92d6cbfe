"""Cloud Storage as the unmodified SDK sees it."""

from __future__ import annotations

import base64
import hashlib
import os
import uuid

import google_crc32c
import pytest
import requests
from google.api_core import exceptions
from google.cloud import storage


def crc32c(data: bytes) -> str:
    return base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()


def test_bucket_keeps_location_uniform_access_and_public_access_prevention(storage_client: storage.Client) -> None:
    bucket = storage_client.bucket(f"cxr-contract-{uuid.uuid4().hex[:12]}")
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    bucket.iam_configuration.public_access_prevention = "enforced"
    storage_client.create_bucket(bucket, location="europe-west4")
    again = storage_client.get_bucket(bucket.name)
    assert again.location == "EUROPE-WEST4"
    assert again.iam_configuration.uniform_bucket_level_access_enabled is True
    assert again.iam_configuration.public_access_prevention == "enforced"
    assert bucket.name in {found.name for found in storage_client.list_buckets()}


def test_a_bucket_that_exists_is_a_conflict(storage_client: storage.Client, bucket: storage.Bucket) -> None:
    with pytest.raises(exceptions.Conflict):
        storage_client.create_bucket(bucket.name, location="us-central1")


@pytest.mark.parametrize("name", ["Ab-upper", "ab", "-dash", "goog-x", "192.168.5.4", "with space", "a" * 64])
def test_bad_bucket_names_are_refused(storage_client: storage.Client, name: str) -> None:
    bucket = storage_client.bucket("placeholder-name")
    bucket.name = name
    with pytest.raises(exceptions.BadRequest):
        storage_client.create_bucket(bucket)


def test_a_missing_bucket_is_not_found(storage_client: storage.Client) -> None:
    with pytest.raises(exceptions.NotFound):
        storage_client.get_bucket("cxr-there-is-no-such-bucket")
    with pytest.raises(exceptions.NotFound):
        list(storage_client.list_blobs("cxr-there-is-no-such-bucket"))
    with pytest.raises(exceptions.NotFound):
        storage_client.bucket("cxr-there-is-no-such-bucket").blob("x").upload_from_string(b"x")


def test_only_an_empty_bucket_can_be_deleted(bucket: storage.Bucket) -> None:
    blob = bucket.blob("a")
    blob.upload_from_string(b"a")
    with pytest.raises(exceptions.Conflict):
        bucket.delete()
    blob.delete()
    bucket.delete()
    assert not bucket.exists()


@pytest.mark.parametrize(
    "name",
    ["plain.jpeg", "deep/er/person1_bacteria_2.jpeg", "space & +plus%2F?#.txt", "Ünïcödé/肺.png", "a//b", "dot/."],
)
def test_object_names_come_back_as_they_went(bucket: storage.Bucket, name: str) -> None:
    data = os.urandom(1000)
    bucket.blob(name).upload_from_string(data, content_type="image/jpeg")
    assert [blob.name for blob in bucket.list_blobs()] == [name]
    blob = bucket.get_blob(name)
    assert blob is not None
    assert (blob.size, blob.content_type, blob.crc32c) == (1000, "image/jpeg", crc32c(data))
    assert blob.md5_hash == base64.b64encode(hashlib.md5(data).digest()).decode()
    assert blob.download_as_bytes() == data
    bucket.delete_blob(name)
    with pytest.raises(exceptions.NotFound):
        blob.reload()


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 0, slice(0, 1)),
        (5, 9, slice(5, 10)),
        (90, 500, slice(90, 100)),
        (40, None, slice(40, 100)),
        (-7, None, slice(93, 100)),
    ],
)
def test_ranges(bucket: storage.Bucket, start: int, end: int | None, expected: slice) -> None:
    data = bytes(range(100))
    blob = bucket.blob("hundred")
    blob.upload_from_string(data)
    assert blob.download_as_bytes(start=start, end=end) == data[expected]


def test_a_range_outside_is_not_satisfiable(bucket: storage.Bucket) -> None:
    blob = bucket.blob("small")
    blob.upload_from_string(b"0123456789")
    with pytest.raises(exceptions.RequestRangeNotSatisfiable):
        blob.download_as_bytes(start=10)


def test_listing_pages_in_order_of_names(bucket: storage.Bucket) -> None:
    names = sorted([f"images/{number:03d}" for number in range(25)] + ["a", "z", "images", "imagesX"], key=str.encode)
    for name in names:
        bucket.blob(name).upload_from_string(b".")
    pages = [[blob.name for blob in page] for page in bucket.list_blobs(page_size=7).pages]
    assert [name for page in pages for name in page] == names
    assert [len(page) for page in pages] == [7, 7, 7, 7, 1]
    assert [blob.name for blob in bucket.list_blobs(prefix="images/02")] == [f"images/02{digit}" for digit in range(5)]


def test_listing_with_a_delimiter_gives_folders(bucket: storage.Bucket) -> None:
    for name in ("a/1", "a/2", "b", "c/d/3", "c/4"):
        bucket.blob(name).upload_from_string(b".")
    listing = bucket.list_blobs(delimiter="/", page_size=2)
    assert [blob.name for blob in listing] == ["b"]
    assert listing.prefixes == {"a/", "c/"}
    below = bucket.list_blobs(prefix="c/", delimiter="/")
    assert [blob.name for blob in below] == ["c/4"]
    assert below.prefixes == {"c/d/"}


def test_pages_stay_right_while_objects_come_and_go(bucket: storage.Bucket) -> None:
    for number in range(20, 40):
        bucket.blob(f"{number}").upload_from_string(b".")
    pages = bucket.list_blobs(page_size=5).pages
    names = [blob.name for blob in next(pages)]
    bucket.delete_blob("20")
    bucket.delete_blob("30")
    bucket.blob("10").upload_from_string(b"before the page that was read")
    bucket.blob("24a").upload_from_string(b"behind it")
    names += [blob.name for page in pages for blob in page]
    expected = [f"{number}" for number in range(20, 40) if number != 30]
    assert names == [*expected[:5], "24a", *expected[5:]]


@pytest.mark.parametrize("fields", ["items(name,size,crc32c),nextPageToken", "items/name,items/size,items/crc32c"])
def test_a_listing_gives_the_fields_that_were_asked_for(server_url: str, bucket: storage.Bucket, fields: str) -> None:
    for name in ("a", "b"):
        bucket.blob(name).upload_from_string(name.encode())
    listing = requests.get(f"{server_url}/storage/v1/b/{bucket.name}/o", params={"fields": fields}, timeout=60)
    expected = [{"name": name, "size": "1", "crc32c": crc32c(name.encode())} for name in ("a", "b")]
    assert listing.json()["items"] == expected
    blobs = list(bucket.list_blobs(fields="items(name,generation,metadata),nextPageToken", page_size=1))
    assert [(blob.name, blob.size) for blob in blobs] == [("a", None), ("b", None)]
    assert all(blob.generation for blob in blobs)


@pytest.mark.parametrize("name", ["line\nbreak", "carriage\rreturn", "x" * 1025, "é" * 513, ".", ".."])
def test_bad_object_names_are_refused(bucket: storage.Bucket, name: str) -> None:
    with pytest.raises(exceptions.BadRequest):
        bucket.blob(name).upload_from_string(b"x")
    with pytest.raises(exceptions.BadRequest):
        bucket.blob(name).create_resumable_upload_session()


def test_the_longest_name(bucket: storage.Bucket) -> None:
    name = "é" * 512
    bucket.blob(name).upload_from_string(b"x")
    assert bucket.blob(name).download_as_bytes() == b"x"


@pytest.mark.parametrize("size", [0, 1, 100_000, (1 << 20) + 1, 9 << 20], ids=str)
def test_bytes_come_back_whatever_their_number(bucket: storage.Bucket, size: int) -> None:
    data = os.urandom(size)
    blob = bucket.blob("sized")
    blob.upload_from_string(data, checksum="crc32c", timeout=60)
    blob.reload()
    assert (blob.size, blob.crc32c) == (size, crc32c(data))
    assert blob.download_as_bytes() == data
    again = os.urandom(size)
    bucket.blob("sized").upload_from_string(again)
    assert bucket.blob("sized").download_as_bytes() == again


def test_a_chunked_body_without_a_length(server_url: str, bucket: storage.Bucket) -> None:
    url = f"{server_url}/upload/storage/v1/b/{bucket.name}/o?uploadType=media&name=chunked"
    pieces = [os.urandom(100_000) for _ in range(5)]
    assert requests.post(url, data=iter(pieces), timeout=60).json()["size"] == "500000"
    assert bucket.blob("chunked").download_as_bytes() == b"".join(pieces)


def test_generation_zero_means_only_if_absent(bucket: storage.Bucket) -> None:
    blob = bucket.blob("once")
    blob.upload_from_string(b"first", if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("once").upload_from_string(b"second", if_generation_match=0)
    assert bucket.blob("once").download_as_bytes() == b"first"


def test_a_write_over_a_known_generation(bucket: storage.Bucket) -> None:
    blob = bucket.blob("name")
    blob.upload_from_string(b"first")
    first = blob.generation
    bucket.blob("name").upload_from_string(b"second", if_generation_match=first)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("name").upload_from_string(b"third", if_generation_match=first)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("name").delete(if_generation_match=first)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("name").download_as_bytes(if_generation_match=first)
    second = bucket.get_blob("name")
    assert second is not None
    assert second.generation > first
    second.delete(if_generation_match=second.generation)


def test_metadata_change_counts_the_metageneration(bucket: storage.Bucket) -> None:
    blob = bucket.blob("labelled")
    blob.metadata = {"label": "NORMAL", "split": "train"}
    blob.upload_from_string(b"x")
    assert blob.metageneration == 1
    blob.metadata = {"label": "PNEUMONIA"}
    blob.content_type = "image/png"
    blob.patch(if_metageneration_match=1)
    again = bucket.get_blob("labelled")
    assert again is not None
    assert again.metageneration == 2
    assert again.metadata["label"] == "PNEUMONIA"
    assert again.content_type == "image/png"
    with pytest.raises(exceptions.PreconditionFailed):
        blob.patch(if_metageneration_match=1)


def test_a_wrong_checksum_makes_no_object(bucket: storage.Bucket) -> None:
    blob = bucket.blob("damaged")
    blob.crc32c = crc32c(b"what was meant")
    with pytest.raises(exceptions.BadRequest):
        blob.upload_from_string(b"what arrived", checksum=None)
    other = bucket.blob("damaged")
    other.md5_hash = base64.b64encode(hashlib.md5(b"what was meant").digest()).decode()
    with pytest.raises(exceptions.BadRequest):
        other.upload_from_string(b"what arrived", checksum=None)
    assert bucket.get_blob("damaged") is None


def test_an_empty_object(bucket: storage.Bucket) -> None:
    bucket.blob("empty").upload_from_string(b"")
    assert bucket.blob("empty").download_as_bytes() == b""


def test_errors_have_the_services_shape(server_url: str, bucket: storage.Bucket) -> None:
    answer = requests.get(f"{server_url}/storage/v1/b/{bucket.name}/o/nothing", timeout=60)
    error = answer.json()["error"]
    assert answer.status_code == error["code"] == 404
    assert error["errors"][0]["reason"] == "notFound"
    assert f"{bucket.name}/nothing" in error["message"]


@pytest.mark.parametrize("quote", ["", '"', "'"])
@pytest.mark.parametrize("newline", ["\r\n", "\n"])
def test_a_multipart_body_as_other_clients_frame_it(
    server_url: str, bucket: storage.Bucket, quote: str, newline: str
) -> None:
    """gcsfs ends lines with a line feed alone, apitools (gcloud) puts the boundary into single quotes."""
    lines = ("--edge", "Content-Type: application/json", "", '{"name": "framed"}', "--edge", "Content-Type: a/b", "")
    body = newline.join((*lines, "the bytes", "--edge--")).encode()
    answer = requests.post(
        f"{server_url}/upload/storage/v1/b/{bucket.name}/o?uploadType=multipart",
        data=body,
        headers={"Content-Type": f"multipart/related; boundary={quote}edge{quote}"},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    blob = bucket.get_blob("framed")
    assert (blob.download_as_bytes(), blob.content_type) == (b"the bytes", "a/b")
