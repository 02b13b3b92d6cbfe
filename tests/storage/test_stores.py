"""The same behaviour from every backend: a folder, and Google's SDK talking to a server on loopback."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from cxr.cloud.connection import connect
from cxr.errors import CxrError, InputError, UsageError
from cxr.settings import Settings
from cxr.storage import ABSENT, Store, open_store
from cxr.storage.buckets import create_private_bucket, find_bucket
from cxr.storage.checksums import crc32c_of_bytes, digest_of_bytes

AWKWARD_NAMES = ["plain.txt", "with space.txt", "a#b?c%20d.txt", "Röntgen/ü.jpeg", "deep/er/still/x"]


@pytest.fixture(params=["folder", "gcs"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return open_store(str(tmp_path / "store"))
    connection = connect(request.getfixturevalue("local_cloud"))
    place = {"endpoint": connection.endpoint, "project": connection.project}
    if find_bucket(connection.bucket, **place).location is None:
        create_private_bucket(connection.bucket, region=connection.region, **place)
    return connection.store(uuid.uuid4().hex)


@pytest.mark.parametrize("name", AWKWARD_NAMES)
def test_bytes_come_back_as_they_went(store: Store, name: str) -> None:
    data = name.encode() * 100
    info = store.put_bytes(name, data)
    assert (info.name, info.size, info.crc32c) == (name, len(data), crc32c_of_bytes(data))
    assert store.get_bytes(name) == data


def test_listing_gives_names_sizes_and_checksums_in_order(store: Store) -> None:
    for name in reversed(AWKWARD_NAMES):
        store.put_bytes(name, name.encode())
    listed = list(store.list())
    assert [info.name for info in listed] == sorted(AWKWARD_NAMES)
    assert all(info.crc32c == crc32c_of_bytes(info.name.encode()) for info in listed)
    assert [info.name for info in store.list("deep/")] == ["deep/er/still/x"]


def test_put_only_if_absent_refuses_an_object_that_is_there(store: Store) -> None:
    store.put_bytes("once", b"first", if_version=ABSENT)
    with pytest.raises(CxrError, match="somebody else"):
        store.put_bytes("once", b"second", if_version=ABSENT)
    assert store.get_bytes("once") == b"first"


def test_replacing_names_the_generation_it_goes_over(store: Store) -> None:
    first = store.put_bytes("x", b"1")
    second = store.put_bytes("x", b"22", if_version=first.version)
    with pytest.raises(CxrError, match="somebody else"):
        store.put_bytes("x", b"333", if_version=first.version)
    assert store.get_bytes("x") == b"22"
    assert second.version != first.version


def test_a_file_that_changed_since_its_scan_is_not_stored(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "image.jpeg"
    path.write_bytes(b"now")
    with pytest.raises(InputError, match=r"image\.jpeg has changed"):
        store.put_file("image.jpeg", path, expected=digest_of_bytes(b"then"))
    assert list(store.list()) == []


def test_download_leaves_nothing_under_the_final_name_when_the_object_is_missing(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "out" / "file"
    with pytest.raises(InputError):
        store.get_file("absent", target)
    assert not target.exists()
    assert not target.parent.exists() or list(target.parent.iterdir()) == []


def test_a_deleted_object_is_gone(store: Store) -> None:
    store.put_bytes("x", b"1")
    store.delete("x")
    with pytest.raises(InputError):
        store.get_bytes("x")


def test_a_bucket_that_cxr_makes_is_private_and_in_its_region(local_cloud: Settings) -> None:
    from cxr.storage.gcs import gcs_client

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
