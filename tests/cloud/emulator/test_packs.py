"""The bytes of objects on the disk: packs, files of their own, what earlier versions and crashes left."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from emulator_server import Server, Start, start_busy, wait_until
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr.cloud.emulator import process
from cxr.cloud.emulator.incoming import IncomingBody
from cxr.cloud.emulator.settings import EmulatorSettings
from cxr.cloud.emulator.state.blobs import SMALL_BYTES, BlobStore
from cxr.cloud.emulator.state.database import Database
from cxr.cloud.emulator.state.packs import Packs, Place


def segments(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.pack"))


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from(["add", "remove", "reopen"]), st.integers(0, 40)), max_size=40))
def test_what_is_kept_can_be_read(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]) -> None:
    folder = tmp_path_factory.mktemp("packs")
    packs = Packs(folder, segment_bytes=100)
    kept: dict[Place, bytes] = {}
    for action, number in steps:
        if action == "add":
            data = os.urandom(number)
            kept[packs.append(data)] = data
        elif action == "remove" and kept:
            place = list(kept)[number % len(kept)]
            del kept[place]
            packs.remove(place)
        elif action == "reopen":
            packs = Packs(folder, segment_bytes=100)
            packs.count_live(kept)
        for place, data in kept.items():
            assert Place.parse(str(place)) == place
            assert packs.read(place, 0, len(data)) == data
            assert packs.read(place, 3, 5) == data[3:8]


def test_a_segment_goes_when_nothing_in_it_is_wanted(tmp_path: Path) -> None:
    packs = Packs(tmp_path, segment_bytes=100)
    places = [packs.append(bytes(60)) for _ in range(6)]
    assert len(segments(tmp_path)) == 3
    for place in places[:2]:
        assert packs.read(place, 0, 60) == bytes(60)
        packs.remove(place)
    assert len(segments(tmp_path)) == 2
    with pytest.raises(FileNotFoundError):
        packs.read(places[0], 0, 60)
    again = Packs(tmp_path, segment_bytes=100)
    assert again.count_live(places[4:]) == 1
    assert again.read(places[5], 0, 60) == bytes(60)


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file may grow beyond `size`: what a full disk looks like to a program."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_costs_only_what_did_not_fit(tmp_path: Path) -> None:
    packs = Packs(tmp_path)
    first = packs.append(b"first")
    with file_size_limit(1000), pytest.raises(OSError, match="large"):
        packs.append(b"x" * 5000)
    second = packs.append(b"second")
    assert second.offset == first.length
    assert (packs.read(first, 0, 5), packs.read(second, 0, 6)) == (b"first", b"second")


def test_large_bytes_that_do_not_fit_leave_no_file(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    with file_size_limit(SMALL_BYTES), pytest.raises(OSError, match="large"):
        store.write(iter([bytes(SMALL_BYTES), bytes(SMALL_BYTES)]))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_state_folder_of_the_former_layout_opens(start: Start) -> None:
    server = start()
    server.bucket("former")
    server.put("former", "a", b"new")
    process.stop(server.state)
    old_id = "ab" + "0" * 30  # every object had a file of its own, small ones too
    old_file = server.state / "blobs" / "ab" / old_id
    old_file.parent.mkdir()
    old_file.write_bytes(b"old bytes")
    database = Database(EmulatorSettings(server.state).database_path)
    with database.write() as connection:
        values = ("former", "b", 5, 1, 9, "crc", "md5", old_id, 0, 0, '{"contentType": "image/jpeg"}')
        connection.execute("INSERT INTO objects VALUES (?,?,?,?,?,?,?,?,?,?,?)", values)
    database.close()
    again = start()
    object_url = f"{again.url}/storage/v1/b/former/o/b"
    assert requests.get(f"{object_url}?alt=media").content == b"old bytes"
    assert requests.get(f"{object_url}?alt=media", headers={"Range": "bytes=4-"}).content == b"bytes"
    assert requests.delete(object_url).status_code == 204
    assert not old_file.exists()
    assert requests.get(f"{again.url}/storage/v1/b/former/o/a?alt=media").content == b"new"


def test_the_start_reclaims_what_replaced_objects_left(start: Start) -> None:
    server = start()
    server.bucket("kept")
    for number in range(20):
        server.put("kept", "replaced", os.urandom(100_000))
        server.put("kept", f"kept-{number}", b"%d" % number)
    data = os.urandom(1000)
    server.put("kept", "replaced", data)
    server.kill()
    (pack,) = (server.state / "blobs" / "packs").glob("*.pack")
    with pack.open("ab") as stream:
        stream.write(b"half of what was never acknowledged")
    again = start()
    assert not pack.exists()
    assert sum(path.stat().st_size for path in (server.state / "blobs" / "packs").iterdir()) < 10_000
    again.put("kept", "new", b"new")
    again.kill()
    last = start()
    assert requests.get(f"{last.url}/storage/v1/b/kept/o/replaced?alt=media").content == data
    for number in range(20):
        assert requests.get(f"{last.url}/storage/v1/b/kept/o/kept-{number}?alt=media").content == b"%d" % number


def content(server: Server, name: str, bucket: str = "kept") -> tuple[int, bytes]:
    answer = requests.get(f"{server.url}/storage/v1/b/{bucket}/o/{name}?alt=media", timeout=60)
    return answer.status_code, answer.content if answer.status_code == 200 else b""


@pytest.mark.parametrize("lost", ["tail", "pack"])
def test_what_is_lost_of_a_pack_is_an_error_and_not_other_bytes(start: Start, lost: str) -> None:
    server = start()
    server.bucket("kept")
    server.put("kept", "first", b"1" * 1000)
    server.put("kept", "last", b"2" * 1000)
    server.kill()
    (pack,) = (server.state / "blobs" / "packs").glob("*.pack")
    if lost == "pack":
        pack.unlink()
    else:
        os.truncate(pack, 1500)
    again = start()
    again.put("kept", "new", b"3" * 3000)
    again.kill()
    last = start()
    assert content(last, "first") == ((500, b"") if lost == "pack" else (200, b"1" * 1000))
    assert content(last, "last") == (500, b"")
    assert content(last, "new") == (200, b"3" * 3000)
    composed = {"sourceObjects": [{"name": "last"}, {"name": "new"}]}
    path = f"{last.url}/storage/v1/b/kept/o/composed/compose"
    assert requests.post(path, json=composed, timeout=60).status_code == 500
    last.put("kept", "last", b"again")
    assert content(last, "last") == (200, b"again")


def test_a_large_object_that_was_cut_off_is_an_error(start: Start) -> None:
    server = start()
    server.bucket("kept")
    server.put("kept", "large", bytes(3 * SMALL_BYTES))
    (blob,) = (server.state / "blobs").glob("[0-9a-f][0-9a-f]/*")
    os.truncate(blob, 2 * SMALL_BYTES)
    assert content(server, "large") == (500, b"")


def test_an_almost_empty_pack_with_lost_bytes_is_still_tidied(tmp_path: Path, start: Start) -> None:
    server = start()
    server.bucket("kept")
    for number in range(10):
        server.put("kept", "replaced", os.urandom(100_000))
        server.put("kept", f"kept-{number}", b"%d" % number)
    server.kill()
    (pack,) = (server.state / "blobs" / "packs").glob("*.pack")
    os.truncate(pack, pack.stat().st_size - 1)
    again = start()
    assert content(again, "kept-9") == (500, b"")
    assert [content(again, f"kept-{number}") for number in range(9)] == [(200, b"%d" % number) for number in range(9)]


def test_a_body_that_does_not_fit_on_the_disk_costs_one_answer(start: Start) -> None:
    with file_size_limit(12 << 20):
        server = start_busy(start, idle_exit_seconds=1.0)
    server.bucket("kept")
    path = f"{server.url}/upload/storage/v1/b/kept/o?uploadType=media&name="
    assert requests.post(path + "announced", data=bytes(24 << 20), timeout=60).status_code == 507
    pieces = iter([bytes(1 << 20)] * 24)
    assert requests.post(path + "chunked", data=pieces, timeout=60).status_code == 507
    assert list((server.state / "uploads").iterdir()) == []
    server.put("kept", "small", b"small")
    assert content(server, "small") == (200, b"small")
    assert content(server, "announced") == (404, b"")
    server.let_go()
    wait_until(lambda: not (server.state / "server.json").exists())  # nothing is thought to be under way


def test_the_beginning_of_a_body_can_be_looked_at_when_it_goes_to_the_disk(tmp_path: Path) -> None:
    data = os.urandom(10 << 20)
    body = IncomingBody(len(data), tmp_path)
    assert body.append(data) == len(data)
    assert body.beginning() == data[: 64 << 10]
    assert body.finish().read() == data
