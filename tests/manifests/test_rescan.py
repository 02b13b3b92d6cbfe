"""A second scan reads only what changed, and comes to the same manifest as if it had read everything."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from manifest_pictures import make_folder, picture, put

from cxr.errors import InputError
from cxr.manifests.scan.folder import FILES_PER_TASK, Scan, scan, scan_with_record
from cxr.manifests.scan.record import ScanRecord, read_record, record_path_of, write_record

NAMES = [f"{split}/{label}/person{n}_virus_{n}.jpeg" for split in ("train", "test") for label in "AB" for n in range(4)]


def _age(folder: Path) -> None:
    """Make all files an hour old, so that a record may trust them."""
    for path in folder.rglob("*.*"):
        os.utime(path, (time.time() - 3600,) * 2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = make_folder(tmp_path / "images", NAMES)
    put(images, "train/A/odd.jpeg", b"no image")
    put(images, "train/B/really.png", picture(70))
    _age(images)
    return images


def _kept(scanned: Scan, tmp_path: Path) -> ScanRecord:
    """The record, by way of the disk."""
    path = tmp_path / "manifest.scan.csv"
    write_record(scanned.record, path)
    record, why_not = read_record(path)
    assert why_not == ""
    assert record is not None
    return record


def test_an_unchanged_folder_is_not_read_again_and_gives_the_same_manifest(folder: Path, tmp_path: Path) -> None:
    first = scan_with_record(folder)
    again = scan_with_record(folder, earlier=_kept(first, tmp_path))
    assert again.reused == len(NAMES) + 2
    assert again.manifest.hash == first.manifest.hash
    assert again.manifest.header.problems == first.manifest.header.problems
    assert {found.rule for found in again.manifest.header.problems} == {
        "not-an-image",
        "wrong-suffix",
        "unknown-patient",
    }


def test_an_unchanged_file_is_really_not_opened(folder: Path, tmp_path: Path) -> None:
    record = _kept(scan_with_record(folder), tmp_path)
    path = folder / NAMES[0]
    status = path.stat()
    with path.open("r+b") as stream:
        stream.write(b"\0" * 20)  # the same size in the same inode
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert scan_with_record(folder, earlier=record).reused == len(NAMES) + 2
    assert NAMES[0] in {found.path for found in scan(folder).header.problems}


@pytest.mark.parametrize("change", ["content", "touch", "new inode", "new file", "gone", "renamed"])
def test_only_what_changed_is_read_again(folder: Path, tmp_path: Path, change: str) -> None:
    record = _kept(scan_with_record(folder), tmp_path)
    path = folder / NAMES[3]
    status, data = path.stat(), path.read_bytes()
    if change == "content":
        path.write_bytes(picture(800))
    elif change == "touch":
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    elif change == "new inode":
        other = put(tmp_path, "other", data)
        os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
        other.replace(path)
    elif change == "new file":
        put(folder, "train/A/person90_virus_1.jpeg", picture(801))
    elif change == "gone":
        path.unlink()
    else:
        path.rename(path.with_name("person91_virus_1.jpeg"))
    again = scan_with_record(folder, earlier=record)
    assert again.reused == len(NAMES) + 2 - (change != "new file")
    assert again.manifest.hash == scan(folder).hash
    assert scan_with_record(folder, earlier=_kept(again, tmp_path)).manifest.hash == again.manifest.hash


def test_a_file_written_within_two_seconds_of_the_scan_is_not_trusted(folder: Path, tmp_path: Path) -> None:
    now_ns = time.time_ns()
    os.utime(folder / NAMES[1], ns=(now_ns, now_ns - 1_000_000_000))
    os.utime(folder / NAMES[2], (time.time() + 3600,) * 2)
    kept = _kept(scan_with_record(folder), tmp_path)
    assert now_ns <= kept.began_ns <= time.time_ns()
    record = replace(kept, began_ns=now_ns)  # however long this machine has slept meanwhile
    assert scan_with_record(folder, earlier=record).reused == len(NAMES)
    later = replace(record, began_ns=now_ns + 2_000_000_000)
    assert scan_with_record(folder, earlier=later).reused == len(NAMES) + 1


@pytest.mark.parametrize(
    ("first", "second", "served"),
    [
        ({}, {"decode": False}, False),
        ({"decode": False}, {}, False),
        ({"near_duplicates": False}, {}, False),
        ({}, {"near_duplicates": False}, True),
        ({}, {"patient_key": "number"}, True),
    ],
    ids=["less-decode", "more-decode", "more-hashes", "fewer-hashes", "patient-key"],
)
def test_other_options_use_the_record_only_when_it_holds_what_they_need(
    folder: Path, tmp_path: Path, first: dict[str, bool], second: dict[str, bool], served: bool
) -> None:
    pytest.importorskip("imagehash", reason='needs the extra: pip install "cxr[data]"')
    record = _kept(scan_with_record(folder, **first), tmp_path)
    again = scan_with_record(folder, earlier=record, **second)
    assert (again.reused > 0) == served
    assert again.manifest.hash == scan(folder, **second).hash


def test_a_record_of_another_folder_is_not_used(folder: Path, tmp_path: Path) -> None:
    other = make_folder(tmp_path / "other", NAMES)
    _age(other)
    record = _kept(scan_with_record(other), tmp_path)
    assert scan_with_record(folder, earlier=record).reused == 0


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _other_version(data: bytes) -> bytes:
    return data.replace(b'"record_version": 2', b'"record_version": 9')


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_cut, "torn or was edited"),
        (lambda data: data[:40], "cannot be read"),
        (lambda data: data.replace(b",L,", b",P,"), "torn or was edited"),
        (_other_version, "another version"),
        (lambda data: b"path,label\n", "not the record of a scan"),
        (lambda data: b"", "not the record of a scan"),
        (lambda data: b"# []\n", "cannot be read"),
        (lambda data: b"# " + json.dumps({"record_version": 2, "crc32": 0}).encode() + b"\n", "cannot be read"),
        (lambda data: b"\xff\xfe" + data, "not the record of a scan"),
    ],
    ids=["cut", "cut-header", "edited", "version", "foreign", "empty", "list", "bare-header", "binary"],
)
def test_a_damaged_record_is_none_and_says_why(folder: Path, tmp_path: Path, damage, words: str) -> None:
    path = record_path_of(tmp_path / "manifest.csv")
    assert path.name == "manifest.scan.csv"
    write_record(scan_with_record(folder).record, path)
    path.write_bytes(damage(path.read_bytes()))
    record, why_not = read_record(path)
    assert record is None
    assert words in why_not


def test_no_record_is_no_complaint(tmp_path: Path) -> None:
    assert read_record(tmp_path / "manifest.scan.csv") == (None, "")


def test_the_record_moves_with_its_folder(tmp_path: Path) -> None:
    place = tmp_path / "before"
    make_folder(place / "images", NAMES)
    _age(place / "images")
    write_record(scan_with_record(place / "images").record, place / "manifest.scan.csv")
    place.rename(tmp_path / "after")
    record, _ = read_record(tmp_path / "after" / "manifest.scan.csv")
    assert scan_with_record(tmp_path / "after" / "images", earlier=record).reused == len(NAMES)


def test_an_error_after_the_reading_does_not_lose_what_was_read(folder: Path) -> None:
    for path in folder.glob("*/B/*"):
        path.write_bytes(b"no image")
    _age(folder)
    rescued: list[ScanRecord] = []
    with pytest.raises(InputError, match="one label, 'A'"):
        scan_with_record(folder, rescue=rescued.append)
    put(folder, "train/B/person9_virus_9.jpeg", picture(90))
    again = scan_with_record(folder, earlier=rescued[0])
    assert again.reused == len(NAMES) + 2
    assert again.manifest.hash == scan(folder).hash


def test_ctrl_c_keeps_what_was_read_and_reads_no_more(tmp_path: Path) -> None:
    names = [f"{'AB'[n % 2]}/person{n}_virus_{n}.jpeg" for n in range(12 * FILES_PER_TASK)]
    folder = make_folder(tmp_path / "images", names)
    _age(folder)
    rescued: list[ScanRecord] = []

    def stop(done: int, total: int, note: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan_with_record(folder, on_progress=stop, rescue=rescued.append)
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.jpeg"))]
    for name in names[:3]:
        os.utime(put(folder, name, picture(900)), (1.7e9, 1.7e9))
    assert list(rescued[0].frame["path"]) == names[:FILES_PER_TASK]
    with pytest.raises(KeyboardInterrupt):
        scan_with_record(folder, earlier=rescued[0], on_progress=stop, rescue=rescued.append)
    # What the first had and has not changed, and as many again.
    assert list(rescued[1].frame["path"]) == names[: 2 * FILES_PER_TASK - 3]
    again = scan_with_record(folder, earlier=rescued[1])
    assert again.reused == 2 * FILES_PER_TASK - 3
    assert again.manifest.hash == scan(folder).hash


def test_a_failed_scan_of_another_folder_rescues_nothing(folder: Path, tmp_path: Path) -> None:
    record = _kept(scan_with_record(folder), tmp_path)
    for label in "AB":
        put(tmp_path, f"typo/{label}/x.jpeg", b"no image")
    rescued: list[ScanRecord] = []
    with pytest.raises(InputError, match="no usable image"):
        scan_with_record(tmp_path / "typo", earlier=record, rescue=rescued.append)
    assert rescued == []
