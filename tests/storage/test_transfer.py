"""Uploads: planned against one listing, carried out with preconditions, cheap to repeat."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cxr.errors import CxrError
from cxr.storage import Store, open_store
from cxr.storage.checksums import crc32c_of_file
from cxr.storage.store import ObjectInfo
from cxr.storage.transfer import LocalFile, download_all, execute_upload, plan_upload


@pytest.fixture
def files(tmp_path: Path) -> list[LocalFile]:
    made = []
    for number in range(25):
        path = tmp_path / "images" / f"{number}.jpeg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes([number]) * (100 + number))
        made.append(LocalFile(f"images/{number}.jpeg", path, 100 + number, crc32c_of_file(path)))
    return made


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def _send(files: list[LocalFile], store: Store) -> list[tuple[int, int]]:
    told: list[tuple[int, int]] = []
    plan = plan_upload(files, store, "images/")
    execute_upload(plan, store, workers=4, on_progress=lambda done, total, note: told.append((done, total)))
    return told


def test_the_first_upload_sends_all_and_the_second_nothing(files: list[LocalFile], store: Store) -> None:
    told = _send(files, store)
    assert told[-1] == (25, 25)
    again = plan_upload(files, store, "images/")
    assert (again.uploads, again.unchanged) == ((), 25)
    assert again.unchanged_bytes == sum(file.size for file in files)


def test_only_changed_and_new_files_are_planned(files: list[LocalFile], store: Store) -> None:
    _send(files[:-1], store)
    files[3].path.write_bytes(b"y" * files[3].size)
    changed = LocalFile(files[3].name, files[3].path, files[3].size, crc32c_of_file(files[3].path))
    plan = plan_upload([*files[:3], changed, *files[4:]], store, "images/")
    assert {upload.file.name for upload in plan.uploads} == {"images/3.jpeg", "images/24.jpeg"}
    assert (plan.new, plan.changed) == (1, 1)


def test_objects_without_a_file_are_reported_and_left_alone(files: list[LocalFile], store: Store) -> None:
    _send(files, store)
    plan = plan_upload(files[1:], store, "images/")
    assert plan.orphans == ("images/0.jpeg",)
    execute_upload(plan, store, workers=2, on_progress=lambda *_: None)
    assert store.get_bytes("images/0.jpeg")


def test_one_bad_file_does_not_stop_the_others_and_is_named(files: list[LocalFile], store: Store) -> None:
    files[7].path.write_bytes(b"changed since the scan")
    files[9].path.unlink()
    with pytest.raises(CxrError, match=r"2 of 25 files were not sent, the first is images/\d\.jpeg"):
        _send(files, store)
    assert len(list(store.list())) == 23


def test_an_object_changed_between_plan_and_upload_is_not_overwritten(files: list[LocalFile], store: Store) -> None:
    plan = plan_upload(files[:1], store, "images/")
    store.put_bytes(files[0].name, b"somebody else's")
    with pytest.raises(CxrError, match="somebody else"):
        execute_upload(plan, store, workers=1, on_progress=lambda *_: None)
    assert store.get_bytes(files[0].name) == b"somebody else's"


def test_an_interrupted_upload_goes_on_with_what_is_missing(files: list[LocalFile], store: Store) -> None:
    class ImpatientError(Exception):
        pass

    def stop_after_ten(done: int, total: int, note: str) -> None:
        if done >= 10:
            raise ImpatientError

    with pytest.raises(ImpatientError):
        execute_upload(plan_upload(files, store, "images/"), store, workers=2, on_progress=stop_after_ten)
    rest = plan_upload(files, store, "images/")
    assert 0 < len(rest.uploads) <= 15
    execute_upload(rest, store, workers=2, on_progress=lambda *_: None)
    assert plan_upload(files, store, "images/").uploads == ()


def test_download_brings_every_object_back(files: list[LocalFile], store: Store, tmp_path: Path) -> None:
    _send(files, store)
    paths = download_all(store, "images/", tmp_path / "back", workers=3, on_progress=lambda *_: None)
    assert {path.name for path in paths} == {Path(file.name).name for file in files}
    assert all((tmp_path / "back" / Path(file.name).name).read_bytes() == file.path.read_bytes() for file in files)


def test_the_plan_reads_the_listing_once(files: list[LocalFile], store: Store) -> None:
    class Counting:
        listings = 0
        url = store.url

        def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
            self.listings += 1
            return store.list(prefix)

    counting = Counting()
    plan_upload(files, counting, "images/")  # type: ignore[arg-type]
    assert counting.listings == 1
