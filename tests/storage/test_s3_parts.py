"""Large files to S3: parts that survive an interruption, and what must not become an object."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cxr.errors import ChangedOnDisk, InputError, Interrupted, NotAllowed, NotFound, Unreachable, VersionConflict
from cxr.storage.amazon.store import S3Store
from cxr.storage.amazon.uploads import MAX_PARTS, part_bytes
from cxr.storage.checksums import crc32c_of_bytes, crc32c_of_file
from cxr.storage.limits import Limits, Pace
from cxr.storage.sessions import SessionRecords
from cxr.storage.store import ABSENT, Digest
from s3_server import S3, Answer, Request, error_answer, moto_origin, new_bucket

MIB = 1 << 20
#: Two whole parts and a rest.
SIZE = 17 * MIB


@pytest.fixture(scope="module")
def s3_origin() -> Iterator[str]:
    with moto_origin() as origin:
        yield origin


@pytest.fixture
def s3(s3_origin: str) -> Iterator[S3]:
    with new_bucket(s3_origin) as s3:
        yield s3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of three parts that are all different."""
    made = tmp_path / "model.bin"
    made.write_bytes(b"".join(bytes([number]) * MIB for number in range(SIZE // MIB)))
    return made


@pytest.fixture
def sessions(tmp_path: Path) -> SessionRecords:
    return SessionRecords(tmp_path / "sessions")


class Stopped(Pace):
    """Cancelled after so many bytes, as by Ctrl-C or --max-rate's wait."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self._after = after

    def take(self, count: int) -> None:
        super().take(count)
        if self.moved > self._after:
            raise Interrupted("the transfer was cancelled")


def parts_sent(s3: S3) -> list[int]:
    """The numbers of the parts that were sent since the last question."""
    numbers = [int(request.query["partNumber"]) for request in s3.middle.requests if request.action == "part"]
    s3.middle.requests.clear()
    return numbers


def interrupted(s3: S3, path: Path, sessions: SessionRecords | None, after: int = 12 * MIB) -> None:
    with pytest.raises(Interrupted):
        s3.store(limits=Limits(pace=Stopped(after)), sessions=sessions).put_file("big", path, if_version=ABSENT)


def whole(s3: S3, store: S3Store, path: Path) -> None:
    """The object is the file, and nothing is left over."""
    assert store.get_bytes("big") == path.read_bytes()
    assert (s3.keys, s3.uploads) == (["xrays/big"], 0)


def records(tmp_path: Path) -> int:
    return len(list((tmp_path / "sessions").glob("*")))


def test_a_large_file_goes_in_parts_with_checksums_and_what_the_scan_knows(s3: S3, path: Path) -> None:
    data = path.read_bytes()
    known = Digest(len(data), crc32c_of_bytes(data), "", hashlib.sha256(data).hexdigest())
    limits = Limits(pace=Pace())
    store = s3.store(limits=limits)
    info = store.put_file("big", path, if_version=ABSENT, expected=known, content_type="application/zip")
    assert limits.pace.moved == SIZE
    assert s3.middle.actions == ["head", "create-upload", "part", "part", "part", "complete"]
    sent = {request.action: {k.lower(): v for k, v in request.headers.items()} for request in s3.middle.requests}
    assert sent["part"]["x-amz-checksum-crc32c"] == crc32c_of_bytes(data[16 * MIB :])
    assert sent["complete"]["x-amz-checksum-crc32c"] == known.crc32c
    assert sent["complete"]["x-amz-mp-object-size"] == str(SIZE)
    assert sent["complete"]["if-none-match"] == "*"
    assert not [key for headers in sent.values() for key in headers if "acl" in key or "grant" in key]
    assert info.version.endswith("-3")
    assert (info.size, info.crc32c, info.md5, info.sha256) == (SIZE, known.crc32c, "", known.sha256)
    assert store.stat("big") == info
    assert info.holds(known)
    assert s3.client.head_object(Bucket=s3.bucket, Key="xrays/big")["ContentType"] == "application/zip"
    whole(s3, store, path)


@pytest.mark.parametrize("page_size", [1, 1000])
def test_an_interrupted_upload_goes_on_in_another_process(
    s3: S3, path: Path, tmp_path: Path, sessions: SessionRecords, page_size: int
) -> None:
    interrupted(s3, path, sessions, 16 * MIB)
    assert parts_sent(s3) == [1, 2]
    assert (s3.uploads, records(tmp_path)) == (1, 1)
    limits = Limits(pace=Pace())
    later = s3.store(limits=limits, sessions=SessionRecords(tmp_path / "sessions"))
    later._page_size = page_size
    info = later.put_file("big", path, if_version=ABSENT)
    assert (parts_sent(s3), limits.pace.moved) == ([3], MIB)
    assert (info.crc32c, records(tmp_path)) == (crc32c_of_file(path), 0)
    whole(s3, later, path)


def test_a_part_that_arrived_with_other_bytes_or_another_size_is_sent_again(
    s3: S3, path: Path, sessions: SessionRecords
) -> None:
    interrupted(s3, path, sessions, 16 * MIB)
    parts_sent(s3)
    (upload,) = s3.client.list_multipart_uploads(Bucket=s3.bucket)["Uploads"]
    name = {"Bucket": s3.bucket, "Key": "xrays/big", "UploadId": upload["UploadId"]}
    s3.client.upload_part(**name, PartNumber=1, Body=b"?" * (8 * MIB))
    s3.client.upload_part(**name, PartNumber=2, Body=b"?")
    store = s3.store(sessions=sessions)
    store.put_file("big", path, if_version=ABSENT)
    assert parts_sent(s3) == [1, 2, 3]
    whole(s3, store, path)


def test_an_upload_without_memory_is_taken_back_when_it_fails(s3: S3, path: Path) -> None:
    interrupted(s3, path, None)
    assert (s3.keys, s3.uploads) == ([], 0)


@pytest.mark.parametrize("ending", ["aborted", "may not be listed"])
def test_an_upload_that_cannot_be_taken_up_starts_anew(
    s3: S3, path: Path, tmp_path: Path, sessions: SessionRecords, ending: str
) -> None:
    interrupted(s3, path, sessions)
    parts_sent(s3)
    if ending == "aborted":
        (upload,) = s3.client.list_multipart_uploads(Bucket=s3.bucket)["Uploads"]
        s3.client.abort_multipart_upload(Bucket=s3.bucket, Key="xrays/big", UploadId=upload["UploadId"])
    else:
        s3.middle.before = lambda request: error_answer(403, "AccessDenied") if request.action == "list-parts" else None
    store = s3.store(sessions=sessions)
    store.put_file("big", path, if_version=ABSENT)
    assert (parts_sent(s3), records(tmp_path)) == ([1, 2, 3], 0)
    whole(s3, store, path)


def _answered(action: str, answer: Answer) -> Callable[[Request], Answer | None]:
    """One request of the kind gets `answer`, the others go through."""
    left = [answer]

    def before(request: Request) -> Answer | None:
        return left.pop() if request.action == action and left else None

    return before


def test_a_failed_part_costs_that_part_only_and_counts_as_progress(
    s3: S3, path: Path, sessions: SessionRecords
) -> None:
    store = s3.store(sessions=sessions)

    def before(request: Request) -> Answer | None:
        return error_answer(503, "SlowDown") if request.query.get("partNumber") == "2" else None

    s3.middle.before = before
    with pytest.raises(Unreachable) as caught:
        store.put_file("big", path, if_version=ABSENT)
    assert caught.value.made_progress
    with pytest.raises(Unreachable) as caught:
        store.put_file("big", path, if_version=ABSENT)
    assert not caught.value.made_progress
    assert parts_sent(s3) == [1, 2, 2]
    s3.middle.before = lambda request: None
    store.put_file("big", path, if_version=ABSENT)
    assert parts_sent(s3) == [2, 3]


@pytest.mark.parametrize(
    ("action", "answer"),
    [
        ("part", error_answer(404, "NoSuchUpload")),
        ("complete", error_answer(404, "NoSuchUpload")),
        ("complete", error_answer(409, "ConditionalRequestConflict")),
    ],
    ids=["part of no upload", "end of no upload", "conflict at the end"],
)
def test_an_upload_that_the_service_has_ended_may_be_tried_again_from_the_start(
    s3: S3, path: Path, tmp_path: Path, sessions: SessionRecords, action: str, answer: Answer
) -> None:
    store = s3.store(sessions=sessions)
    s3.middle.before = _answered(action, answer)
    with pytest.raises(Unreachable, match="the upload has been ended") as caught:
        store.put_file("big", path, if_version=ABSENT)
    assert not caught.value.made_progress
    assert (s3.uploads, records(tmp_path)) == (0, 0)
    parts_sent(s3)
    store.put_file("big", path, if_version=ABSENT)
    assert parts_sent(s3) == [1, 2, 3]
    whole(s3, store, path)


def test_a_conflict_is_seen_before_and_after_a_large_file_is_sent(
    s3: S3, path: Path, tmp_path: Path, sessions: SessionRecords
) -> None:
    store = s3.store(sessions=sessions)

    def race(request: Request) -> None:
        if request.action == "complete":
            s3.client.put_object(Bucket=s3.bucket, Key="xrays/big", Body=b"theirs")

    s3.middle.before = race
    with pytest.raises(VersionConflict):
        store.put_file("big", path, if_version=ABSENT)
    assert (s3.uploads, records(tmp_path), parts_sent(s3)) == (0, 0, [1, 2, 3])
    for version in (ABSENT, "other"):
        with pytest.raises(VersionConflict):
            store.put_file("big", path, if_version=version)
    with pytest.raises(VersionConflict):
        store.put_file("absent", path, if_version="other")
    assert parts_sent(s3) == []
    assert store.get_bytes("big") == b"theirs"


def test_a_large_file_goes_over_the_version_that_it_names(s3: S3, path: Path) -> None:
    store = s3.store()
    first = store.put_bytes("big", b"1")
    store.put_file("big", path, if_version=first.version)
    # moto takes any If-Match on this request: that it is sent is what can be seen here.
    assert s3.middle.requests[-1].action == "complete"
    assert s3.middle.requests[-1].headers["If-Match"] == f'"{first.version}"'
    whole(s3, store, path)
    s3.middle.before = _answered("complete", error_answer(412, "PreconditionFailed"))
    with pytest.raises(VersionConflict):
        store.put_file("big", path, if_version=s3.client.head_object(Bucket=s3.bucket, Key="xrays/big")["ETag"][1:-1])
    assert s3.uploads == 0


def test_who_may_only_write_learns_of_a_conflict_at_the_end(s3: S3, path: Path) -> None:
    s3.store().put_bytes("big", b"1")
    s3.middle.before = lambda request: Answer(403) if request.action == "head" else None
    with pytest.raises(VersionConflict):
        s3.store().put_file("big", path, if_version=ABSENT)
    assert (parts_sent(s3), s3.uploads) == ([1, 2, 3], 0)


def test_an_end_whose_answer_is_lost_is_found_to_have_worked(s3: S3, path: Path, sessions: SessionRecords) -> None:
    store = s3.store(sessions=sessions)

    def lose(request: Request, answer: Answer) -> Answer:
        answer.lost = request.action == "complete"
        return answer

    s3.middle.after = lose
    with pytest.raises(Unreachable):
        store.put_file("big", path, if_version=ABSENT)
    with pytest.raises(VersionConflict):
        store.put_file("big", path, if_version=ABSENT)
    found = store.stat("big")
    assert found is not None
    assert found.holds(Digest(SIZE, crc32c_of_file(path)))
    assert parts_sent(s3) == [1, 2, 3]


def _grow(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"?")


def _shrink(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.truncate(9 * MIB)


def _overwrite(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.seek(SIZE - 1)
        stream.write(b"?")


@pytest.mark.parametrize("change", [_grow, _shrink, _overwrite])
@pytest.mark.parametrize("scanned", [True, False], ids=["scanned", "unknown"])
def test_a_file_that_changes_while_it_is_sent_is_not_stored(
    s3: S3, path: Path, tmp_path: Path, sessions: SessionRecords, change: Callable[[Path], None], scanned: bool
) -> None:
    expected = Digest(SIZE, crc32c_of_file(path)) if scanned else None

    def before(request: Request) -> None:
        if request.query.get("partNumber") == "1":
            change(path)

    s3.middle.before = before
    with pytest.raises(ChangedOnDisk, match=r"model\.bin has changed"):
        s3.store(sessions=sessions).put_file("big", path, if_version=ABSENT, expected=expected)
    assert (s3.keys, s3.uploads, records(tmp_path)) == ([], 0, 0)


def test_a_file_that_becomes_shorter_within_a_part_is_not_stored(
    s3: S3, path: Path, tmp_path: Path, sessions: SessionRecords
) -> None:
    class Truncating(Pace):
        def take(self, count: int) -> None:
            super().take(count)
            if self.moved == 12 * MIB:
                _shrink(path)

    with pytest.raises(Unreachable, match="became shorter"):
        s3.store(limits=Limits(pace=Truncating()), sessions=sessions).put_file("big", path, if_version=ABSENT)
    with pytest.raises(ChangedOnDisk):
        s3.store(sessions=sessions).put_file("big", path, if_version=ABSENT, expected=Digest(SIZE))
    assert s3.keys == []


def test_a_damaged_part_and_a_damaged_whole_are_noticed(s3: S3, path: Path, sessions: SessionRecords) -> None:
    store = s3.store(sessions=sessions)

    def flip(request: Request) -> None:
        if request.query.get("partNumber") == "2":
            request.body = request.body[:-1] + b"?"

    s3.middle.before = flip
    with pytest.raises(Unreachable, match="part 2 arrived damaged"):
        store.put_file("big", path, if_version=ABSENT)
    s3.middle.before = lambda request: None

    def misassembled(request: Request, answer: Answer) -> Answer:
        if request.action == "complete":
            wrong = hashlib.md5(b"?").hexdigest().encode()
            answer.body = re.sub(rb"<ETag>[^<]*", b"<ETag>" + wrong + b"-3", answer.body)
        return answer

    s3.middle.after = misassembled
    with pytest.raises(Unreachable, match="the bytes arrived damaged"):
        store.put_file("big", path, if_version=ABSENT)
    assert s3.middle.actions[-1] == "delete"
    assert parts_sent(s3) == [1, 2, 2, 3]


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [(400, "InvalidPart", InputError), (403, "AccessDenied", NotAllowed), (404, "NoSuchBucket", NotFound)],
)
def test_a_refused_end_is_an_error_and_no_object(
    s3: S3, path: Path, sessions: SessionRecords, status: int, code: str, kind: type[Exception]
) -> None:
    s3.middle.before = _answered("complete", error_answer(status, code))
    with pytest.raises(kind):
        s3.store(sessions=sessions).put_file("big", path, if_version=ABSENT)
    assert (s3.keys, s3.uploads) == ([], 1 if kind is NotAllowed else 0)


def test_ten_thousand_parts_are_enough_for_every_size() -> None:
    assert part_bytes(9 * MIB) == part_bytes(MAX_PARTS * 8 * MIB) == 8 * MIB
    assert part_bytes(MAX_PARTS * 8 * MIB + 1) == 9 * MIB
    for size in (80 << 30, 5 << 40, 48 << 40):
        part = part_bytes(size)
        assert part % MIB == 0
        assert -(-size // part) <= MAX_PARTS
