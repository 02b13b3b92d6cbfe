"""The same behaviour from every backend: a folder, and Google's SDK talking to a server on loopback."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from cxr.cloud.connection import connect
from cxr.errors import ChangedOnDisk, CxrError, InputError, NotFound, UsageError, VersionConflict
from cxr.settings import Settings
from cxr.storage import ABSENT, Digest, open_store
from cxr.storage.buckets import create_private_bucket, find_bucket
from cxr.storage.checksums import crc32c_of_bytes, digest_of_bytes
from cxr.storage.folder import FolderStore
from cxr.storage.retrying import RetryingStore
from s3_server import moto_origin

AWKWARD_NAMES = ["plain.txt", "with space.txt", "a#b?c%20d.txt", "Röntgen/ü.jpeg", "deep/er/still/x"]


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_origin() as origin:
        yield origin


@pytest.fixture(params=["folder", "gcs", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> RetryingStore:
    if request.param == "folder":
        return open_store(str(tmp_path / "store"))
    if request.param == "s3":
        origin, patch = request.getfixturevalue("moto"), request.getfixturevalue("monkeypatch")
        patch.setenv("AWS_ENDPOINT_URL", origin)
        bucket = f"stores-{uuid.uuid4().hex[:8]}"
        __import__("boto3").session.Session().client("s3").create_bucket(Bucket=bucket)
        return open_store(f"s3://{bucket}/xrays")
    connection = connect(request.getfixturevalue("local_cloud"))
    place = {"endpoint": connection.endpoint, "project": connection.project}
    if find_bucket(connection.bucket, **place).location is None:
        create_private_bucket(connection.bucket, region=connection.region, **place)
    return connection.store(uuid.uuid4().hex)


@pytest.mark.parametrize("name", AWKWARD_NAMES)
def test_bytes_come_back_as_they_went(store: RetryingStore, name: str) -> None:
    data = name.encode() * 100
    info = store.put_bytes(name, data)
    assert (info.name, info.size, info.crc32c) == (name, len(data), crc32c_of_bytes(data))
    assert store.get_bytes(name) == data


def test_listing_gives_names_sizes_and_checksums_in_order(store: RetryingStore) -> None:
    for name in reversed(AWKWARD_NAMES):
        store.put_bytes(name, name.encode())
    listed = list(store.list())
    assert [info.name for info in listed] == sorted(AWKWARD_NAMES)
    assert all(info.holds(digest_of_bytes(info.name.encode())) is not False for info in listed)
    assert all(info.crc32c or info.md5 for info in listed)
    assert [info.name for info in store.list("deep/")] == ["deep/er/still/x"]


def test_put_only_if_absent_refuses_an_object_that_is_there(store: RetryingStore) -> None:
    store.put_bytes("once", b"first", if_version=ABSENT)
    with pytest.raises(CxrError, match="somebody else"):
        store.put_bytes("once", b"second", if_version=ABSENT)
    assert store.get_bytes("once") == b"first"


def test_replacing_names_the_generation_it_goes_over(store: RetryingStore) -> None:
    first = store.put_bytes("x", b"1")
    second = store.put_bytes("x", b"22", if_version=first.version)
    with pytest.raises(CxrError, match="somebody else"):
        store.put_bytes("x", b"333", if_version=first.version)
    assert store.get_bytes("x") == b"22"
    assert second.version != first.version


def test_a_file_that_changed_since_its_scan_is_not_stored(store: RetryingStore, tmp_path: Path) -> None:
    path = tmp_path / "image.jpeg"
    path.write_bytes(b"now")
    with pytest.raises(InputError, match=r"image\.jpeg has changed"):
        store.put_file("image.jpeg", path, expected=digest_of_bytes(b"then"))
    assert list(store.list()) == []


def test_download_leaves_nothing_under_the_final_name_when_the_object_is_missing(
    store: RetryingStore, tmp_path: Path
) -> None:
    target = tmp_path / "out" / "file"
    with pytest.raises(InputError):
        store.get_file("absent", target)
    assert not target.exists()
    assert not target.parent.exists() or list(target.parent.iterdir()) == []


def test_a_deleted_object_is_gone(store: RetryingStore) -> None:
    store.put_bytes("x", b"1")
    store.delete("x")
    with pytest.raises(InputError):
        store.get_bytes("x")


def test_a_listing_can_begin_behind_a_name(store: RetryingStore) -> None:
    for name in AWKWARD_NAMES:
        store.put_bytes(name, b"x")
    names = sorted(AWKWARD_NAMES)
    for number, name in enumerate(names):
        assert [info.name for info in store.list(after=name)] == names[number + 1 :]


def test_the_sha256_goes_with_the_object(store: RetryingStore, tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(b"bytes")
    sha256 = hashlib.sha256(b"bytes").hexdigest()
    digest = Digest(5, crc32c_of_bytes(b"bytes"), hashlib.md5(b"bytes").hexdigest(), sha256)
    store.put_file("image.png", path, if_version=ABSENT, expected=digest, content_type="image/png")
    found = store.stat("image.png")
    assert found is not None
    assert found.holds(digest)
    assert found.sha256 in {sha256, ""}
    assert found.sha256 or isinstance(store._store, FolderStore)
    assert store.stat("absent") is None


def test_a_large_file_comes_back_as_it_went(store: RetryingStore, tmp_path: Path) -> None:
    data = os.urandom((17 << 20) + 3)
    path = tmp_path / "large"
    path.write_bytes(data)
    digest = digest_of_bytes(data)
    first = store.put_file("large", path, if_version=ABSENT, expected=digest)
    assert first.size == len(data)
    assert store.get_bytes("large") == data
    with pytest.raises(VersionConflict):
        store.put_file("large", path, if_version=ABSENT, expected=digest)
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ChangedOnDisk):
        store.put_file("large", path, if_version=first.version, expected=digest)
    assert store.get_bytes("large") == data
    (tmp_path / "back").mkdir()
    store.get_file("large", tmp_path / "back" / "large")
    assert (tmp_path / "back" / "large").read_bytes() == data


def test_an_object_that_is_not_what_was_expected_replaces_nothing(store: RetryingStore, tmp_path: Path) -> None:
    store.put_bytes("x", b"evil")
    target = tmp_path / "x"
    target.write_bytes(b"mine")
    good = hashlib.md5(b"good").hexdigest()
    for expected in (Digest(4, crc32c_of_bytes(b"good")), Digest(4, "", good), Digest(5)):
        with pytest.raises(VersionConflict):
            store.get_file("x", target, expected=expected)
        assert target.read_bytes() == b"mine"
    store.get_file("x", target, expected=Digest(4, "", hashlib.md5(b"evil").hexdigest()))
    assert target.read_bytes() == b"evil"


def test_a_delete_names_the_version_that_it_means(store: RetryingStore) -> None:
    first = store.put_bytes("x", b"1", if_version=ABSENT)
    store.put_bytes("x", b"22", if_version=first.version)
    with pytest.raises(VersionConflict):
        store.delete("x", if_version=first.version)
    assert store.get_bytes("x") == b"22"
    with pytest.raises(NotFound):
        store.delete("y")


def test_replacing_whatever_is_there_sends_nothing_that_is_there_already(store: RetryingStore) -> None:
    first = store.replace_bytes("x", b"1")
    assert store.replace_bytes("x", b"1").version == first.version
    # Of another size: within one tick of the clock a folder's version tells nothing else apart.
    assert store.replace_bytes("x", b"22").version != first.version
    assert store.get_bytes("x") == b"22"


def test_a_name_that_is_too_long_is_refused_before_anything_is_sent(store: RetryingStore) -> None:
    with pytest.raises(CxrError):
        store.put_bytes("x" * 1025, b"1")
    assert list(store.list()) == []


def test_a_name_of_1024_bytes(local_cloud: Settings, tmp_path: Path) -> None:
    connection = connect(local_cloud)
    place = {"endpoint": connection.endpoint, "project": connection.project}
    if find_bucket(connection.bucket, **place).location is None:
        create_private_bucket(connection.bucket, region=connection.region, **place)
    store = open_store(f"gs://{connection.bucket}", endpoint=connection.endpoint)
    name = "ü/" * 341 + "x"
    assert len(name.encode()) == 1024
    store.replace_bytes(name, b"far down")
    assert store.get_bytes(name) == b"far down"
    assert [info.name for info in store.list("ü/")] == [name]
    with pytest.raises(InputError, match="longer than the 1024 bytes"):
        store.replace_bytes(name + "y", b"too far")


def test_an_object_has_its_content_type_and_no_acl(local_cloud: Settings, tmp_path: Path) -> None:
    from cxr.storage.google.store import gcs_client

    connection = connect(local_cloud)
    place = {"endpoint": connection.endpoint, "project": connection.project}
    if find_bucket(connection.bucket, **place).location is None:
        create_private_bucket(connection.bucket, region=connection.region, **place)
    path = tmp_path / "image.jpeg"
    path.write_bytes(b"bytes")
    connection.store("typed").put_file("image.jpeg", path, content_type="image/jpeg")
    bucket = gcs_client(workers=1, **place).bucket(connection.bucket)
    blob = bucket.get_blob(f"{connection.prefix}/typed/image.jpeg")
    assert blob.content_type == "image/jpeg"
    assert "acl" not in blob._properties


def test_a_bucket_that_cxr_makes_is_private_and_in_its_region(local_cloud: Settings) -> None:
    from cxr.storage.google.store import gcs_client

    connection = connect(local_cloud)
    name = f"made-{uuid.uuid4().hex[:8]}"
    create_private_bucket(name, region="europe-west4", endpoint=connection.endpoint, project=connection.project)
    bucket = gcs_client(endpoint=connection.endpoint, project=connection.project, workers=1).get_bucket(name)
    assert bucket.location.lower() == "europe-west4"
    assert bucket.iam_configuration.uniform_bucket_level_access_enabled
    assert bucket.iam_configuration.public_access_prevention == "enforced"


def test_an_unknown_kind_of_url_is_refused() -> None:
    with pytest.raises(UsageError, match="ftp"):
        open_store("ftp://somewhere")


def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="leaves"):
        open_store(str(tmp_path / "store")).put_bytes("../outside", b"x")
