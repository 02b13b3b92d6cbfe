"""Mishaps that cost somebody a file: another service's session, links, a slow line, one refusal among many."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from certificates import self_signed
from transfer_made import TroubledStore, local_files, quick_haul, retrying

from cxr.cloud.emulator.process import ensure_running, stop
from cxr.errors import ChangedOnDisk, InputError, Interrupted, NotAllowed, NotFound, Unreachable
from cxr.files import atomic_path
from cxr.storage import open_store
from cxr.storage.buckets import create_private_bucket
from cxr.storage.checksums import digest_of_file
from cxr.storage.folder import FolderStore
from cxr.storage.limits import Limits
from cxr.storage.retrying import Patience, Retrier
from cxr.storage.sessions import SessionRecords
from cxr.storage.store import ABSENT, Digest
from cxr.storage.transfer.download import plan_download
from cxr.storage.transfer.files import Failure, Outcome, Tally
from cxr.storage.transfer.upload import look_at, plan_upload, send_plan
from cxr.storage.transfer.workers import choose_workers

LARGE = (9 << 20) + 17


@pytest.fixture
def two_services(tmp_path: Path) -> Iterator[tuple[str, str]]:
    urls = tuple(ensure_running(tmp_path / name) for name in ("a", "b"))
    for url in urls:
        create_private_bucket("same-name", region="us-central1", endpoint=url, project="p")
    yield urls[0], urls[1]
    for name in ("a", "b"):
        stop(tmp_path / name)


def test_a_session_of_one_service_is_never_taken_up_at_another(two_services: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(os.urandom(LARGE))
    digest = digest_of_file(path, None)
    records = SessionRecords(tmp_path / "sessions")

    class CutError(Exception):
        pass

    class Pace:
        cancelled, rate, left = threading.Event(), None, 8 << 20

        def take(self, count: int) -> None:
            self.left -= count
            if self.left < 0:
                raise CutError

    here = open_store(
        "gs://same-name",
        endpoint=two_services[0],
        limits=Limits(pace=Pace()),
        sessions=records,  # type: ignore[arg-type]
    )
    with pytest.raises(CutError):
        here.put_file("x", path, if_version=ABSENT, expected=digest)
    assert len(list((tmp_path / "sessions").iterdir())) == 1
    there = open_store("gs://same-name", endpoint=two_services[1], sessions=records)
    there.put_file("x", path, if_version=ABSENT, expected=digest)
    assert there.get_bytes("x") == path.read_bytes()
    assert open_store("gs://same-name", endpoint=two_services[0]).stat("x") is None


def test_a_large_file_without_crc32c_in_the_manifest_is_still_held_against_it(
    two_services: tuple[str, str], tmp_path: Path
) -> None:
    data = os.urandom(LARGE)
    path = tmp_path / "large"
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    import hashlib

    scanned = Digest(LARGE, "", hashlib.md5(data).hexdigest(), hashlib.sha256(data).hexdigest())
    for store in (open_store("gs://same-name", endpoint=two_services[0]), retrying(FolderStore(tmp_path / "f"))):
        with pytest.raises(ChangedOnDisk):
            store.put_file("x", path, if_version=ABSENT, expected=scanned)
        assert store.stat("x") is None


def test_links_in_a_folder_are_no_objects(tmp_path: Path) -> None:
    outside = tmp_path / "outside.png"
    outside.write_bytes(b"precious")
    store = FolderStore(tmp_path / "store")
    store.put_bytes("real.png", b"real")
    (tmp_path / "store" / "link.png").symlink_to(outside)
    (tmp_path / "store" / "twin.png").symlink_to(tmp_path / "store" / "real.png")
    (tmp_path / "store" / "dangling.png").symlink_to(tmp_path / "nowhere")
    assert [info.name for info in store.list()] == ["real.png"]
    for name in ("link.png", "twin.png", "dangling.png"):
        assert store.stat(name) is None
        with pytest.raises(NotFound):
            store.delete(name)
        with pytest.raises(NotFound):
            store.get_bytes(name)
        with pytest.raises(InputError, match="is a link or a folder"):
            store.put_bytes(name, b"mine", if_version=ABSENT)
    assert outside.read_bytes() == b"precious"
    (tmp_path / "store" / "sub").symlink_to(tmp_path)
    with pytest.raises(InputError, match="leaves the folder"):
        store.put_bytes("sub/x", b"1")


def test_one_refused_file_does_not_stop_the_others(tmp_path: Path) -> None:
    def refuse(call: str, name: str) -> None:
        if call == "put" and name.endswith(("007.jpeg", "015.jpeg")):
            raise NotAllowed("a hold is on it", hint="release it")

    files = local_files(tmp_path / "images")
    store = retrying(TroubledStore(tmp_path / "s", refuse))
    plan = plan_upload(files, store, "images/", path=tmp_path / "p")
    paths = {file.name: file.path for file in files}
    outcome = send_plan(plan, store, lambda name: paths[name], quick_haul(1).crew(plan.totals.to_send))
    assert outcome.missing == ["images/007.jpeg", "images/015.jpeg"]
    with pytest.raises(NotAllowed) as raised:
        outcome.require_complete("sent")
    assert raised.value.hint == "release it"


def test_one_long_retry_after_costs_one_file_and_not_all(tmp_path: Path) -> None:
    def once(call: str, name: str) -> None:
        if call == "put" and name.endswith("003.jpeg"):
            raise Unreachable("come back tomorrow", retry_after=86400)

    files = local_files(tmp_path / "images")
    haul = quick_haul(2)
    store = retrying(TroubledStore(tmp_path / "s", once))
    store.retrier = haul.retrier
    plan = plan_upload(files, store, "images/", path=tmp_path / "p")
    paths = {file.name: file.path for file in files}
    outcome = send_plan(plan, store, lambda name: paths[name], haul.crew(plan.totals.to_send))
    assert outcome.missing == ["images/003.jpeg"]


def test_a_manifest_without_checksums_is_compared_by_the_files_themselves(tmp_path: Path) -> None:
    files = local_files(tmp_path / "images", 5)
    store = retrying(FolderStore(tmp_path / "s"))
    for file in files:
        store.put_file(file.name, file.path)
    bare = [type(file)(file.name, file.path, Digest(file.digest.size)) for file in files]
    assert plan_upload(bare, store, "images/", path=tmp_path / "p").totals.unchanged.files == 5


def test_looking_at_many_objects_raises_what_one_of_them_raises(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    for number in range(40):
        store.put_bytes(str(number), b"x")
    assert len(look_at(store, [str(number) for number in range(40)])) == 40
    with pytest.raises(InputError):
        look_at(store, ["1", "../x", "2"])


def test_names_that_can_be_no_files_are_left_out_one_by_one(tmp_path: Path) -> None:
    from cxr.storage.store import ObjectInfo

    objects = [ObjectInfo(name, 1) for name in ("../up", "/root", "a//b", "good", "folder/", "x/./y")]
    skipped: list[str] = []
    store = FolderStore(tmp_path / "s")
    plan = plan_download(objects, store, tmp_path / "d", path=tmp_path / "p", skipped=skipped)
    assert [action.name for action in plan.uploads()] == ["good"]
    assert skipped == ["../up", "/root", "a//b", "x/./y"]


def test_what_a_killed_download_left_is_removed_by_the_next(tmp_path: Path) -> None:
    from cxr.storage.transfer.download import download_all

    store = retrying(FolderStore(tmp_path / "s"))
    store.put_bytes("x", b"1")
    target = tmp_path / "d"
    target.mkdir()
    old, young = target / ".x.png.cxr-abcd1234.part", target / ".y.png.cxr-abcd1234.part"
    mine = target / ".thesis.part"
    for part in (old, young, mine):
        part.write_bytes(b"half")
    for part in (old, mine):
        os.utime(part, (time.time() - 3600,) * 2)
    download_all(store, target, on_progress=lambda *_: None)
    assert {path.name for path in target.iterdir()} == {"x", young.name, mine.name}


def test_an_unfinished_file_is_gone_when_the_program_ends(tmp_path: Path) -> None:
    import subprocess
    import sys

    script = (
        "import sys, threading, time\nfrom pathlib import Path\nfrom cxr.files import atomic_path\n"
        "def write():\n    with atomic_path(Path(sys.argv[1])) as part:\n"
        "        part.write_bytes(b'half'); ready.set(); time.sleep(600)\n"
        "ready = threading.Event(); threading.Thread(target=write, daemon=True).start(); ready.wait()\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "x")], check=True, timeout=300)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "y"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("warm", [False, True], ids=["first", "again"])
def test_a_slow_line_is_no_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secure: bool, warm: bool) -> None:
    """A server that takes 10 KB every twentieth of a second: the body lies in the system's buffer for much longer than
    the silence that is allowed."""
    context = None
    if secure:
        context, bundle = self_signed(tmp_path)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    thread = threading.Thread(target=slow_server, args=(listener, context), daemon=True)
    thread.start()
    store = open_store(
        "gs://bucket",
        endpoint=f"http{'s' if secure else ''}://127.0.0.1:{listener.getsockname()[1]}",
        limits=Limits(connect_s=2.0, stall_s=2.0),
        retrier=Retrier(Patience(retry_s=0.0)),
    )
    if warm:
        assert store.put_bytes("x", b"small", if_version=ABSENT).size == 5
    assert store.put_bytes("x", os.urandom(900_000), if_version=ABSENT).size == 900_000
    assert store.retrier.retries == 0
    listener.close()


def slow_server(listener: socket.socket, context: ssl.SSLContext | None) -> None:
    """Answers the uploads of one connection with what the service would say of them."""
    raw, _ = listener.accept()
    connection = context.wrap_socket(raw, server_side=True) if context else raw
    while True:
        received = b""
        while b"\r\n\r\n" not in received:
            piece = connection.recv(4096)
            if not piece:
                return
            received += piece
        head, _, body = received.partition(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        while len(body) < length:
            body += connection.recv(10_000)
            time.sleep(0.05)
        metadata, _, rest = body.partition(b"\r\n\r\n")[2].partition(b"\r\n--")
        crc32c = json.loads(metadata)["crc32c"]
        size = len(rest.partition(b"\r\n\r\n")[2].rpartition(b"\r\n--")[0])
        answer = json.dumps({"name": "x", "generation": "5", "size": size, "crc32c": crc32c}).encode()
        start = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n\r\n"
        connection.sendall(start.encode() + answer)


def test_a_name_of_almost_255_bytes_can_be_written(tmp_path: Path) -> None:
    store = retrying(FolderStore(tmp_path / "s"))
    name = "ü" * 124 + ".png"
    store.put_bytes(name, b"1", if_version=ABSENT)
    store.get_file(name, tmp_path / "d" / name)
    assert [path.name for path in (tmp_path / "d").iterdir()] == [name]


def test_what_fails_when_all_files_are_there_is_told_apart(tmp_path: Path) -> None:
    whole = Outcome(Tally(10, 10, 100, 100))
    late = (Failure("manifest.csv", Unreachable("away")), Failure("images/orphan", Unreachable("away")))
    outcome = dataclasses.replace(whole, afterwards=late)
    assert whole.complete
    assert not outcome.complete
    assert outcome.missing == []
    with pytest.raises(Unreachable, match=r"all 10 files are sent, but not manifest\.csv and 1 more: away"):
        outcome.require_complete("sent")
    with pytest.raises(Interrupted, match="stopped by Ctrl-C: all 10 files are sent"):
        dataclasses.replace(outcome, interrupted=True).require_complete("sent")


def test_a_low_rate_is_shared_by_few() -> None:
    assert choose_workers(6000, 6000 * 20_000, 50e3) == 3
    assert choose_workers(6000, 6000 * 20_000, 1e3) == 1
    assert choose_workers(6000, 6000 * 20_000, 1e9) == 128
