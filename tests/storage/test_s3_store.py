"""The store over S3: the unmodified boto3 and a real server on loopback."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from cxr.errors import ChangedOnDisk, Fault, InputError, NotFound, Unreachable, VersionConflict
from cxr.storage.amazon.store import S3Listing, open_s3_store
from cxr.storage.checksums import crc32c_of_bytes
from cxr.storage.limits import Limits, Pace
from cxr.storage.store import ABSENT, Digest
from s3_server import S3, Answer, Request, moto_origin, new_bucket

ODD_NAMES = [
    "plain.txt",
    "with space.txt",
    "a#b?c%20d+e&f.txt",
    "Röntgen/ü.jpeg",
    "日本/x.png",
    "deep//er/./still/x",
    "~'\"<>,;=@!",
    "😀",
]


@pytest.fixture(scope="module")
def s3_origin() -> Iterator[str]:
    with moto_origin() as origin:
        yield origin


@pytest.fixture
def s3(s3_origin: str) -> Iterator[S3]:
    with new_bucket(s3_origin) as s3:
        yield s3


def digest_of(data: bytes) -> Digest:
    return Digest(
        len(data),
        crc32c_of_bytes(data),
        hashlib.md5(data).hexdigest(),
        hashlib.sha256(data).hexdigest(),
    )


def file_of(folder: Path, data: bytes) -> Path:
    path = folder / "image.jpeg"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", ODD_NAMES)
def test_bytes_come_back_as_they_went(s3: S3, tmp_path: Path, name: str) -> None:
    store, data = s3.store(), name.encode() * 100
    info = store.put_bytes(name, data)
    assert (info.name, info.size, info.crc32c) == (name, len(data), crc32c_of_bytes(data))
    assert info.version == info.md5 == hashlib.md5(data).hexdigest()
    assert store.get_bytes(name) == data
    store.get_file(name, tmp_path / "out" / "file")
    assert (tmp_path / "out" / "file").read_bytes() == data
    assert [found.name for found in store.list()] == [name]
    assert s3.keys == [f"xrays/{name}"]


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 300_000])
def test_a_file_goes_with_what_the_scan_knows_of_it(s3: S3, tmp_path: Path, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    limits, known = Limits(pace=Pace()), digest_of(data)
    store = s3.store(limits=limits)
    info = store.put_file("x", file_of(tmp_path, data), if_version=ABSENT, expected=known, content_type="image/jpeg")
    assert limits.pace.moved == size
    assert store.stat("x") == info
    assert (info.size, info.crc32c, info.md5, info.sha256) == (size, known.crc32c, known.md5, known.sha256)
    assert info.holds(known)
    head = s3.client.head_object(Bucket=s3.bucket, Key="xrays/x", ChecksumMode="ENABLED")
    assert (head["ContentType"], head["ChecksumCRC32C"]) == ("image/jpeg", known.crc32c)
    assert head["Metadata"] == {"sha256": known.sha256, "crc32c": known.crc32c}
    assert store.get_bytes("x") == data
    assert limits.pace.moved == 2 * size


def test_a_request_has_both_checksums_waits_for_nothing_and_says_nothing_of_access(s3: S3) -> None:
    data = b"x" * 100_000
    s3.store().put_bytes("x", data)
    (request,) = s3.middle.requests
    headers = {key.lower(): value for key, value in request.headers.items()}
    assert headers["content-md5"] == base64.b64encode(hashlib.md5(data).digest()).decode()
    assert headers["x-amz-checksum-crc32c"] == crc32c_of_bytes(data)
    assert headers["content-length"] == "100000"
    assert not [key for key in headers if key in ("expect", "x-amz-acl") or key.startswith("x-amz-grant")]


def test_listing_is_in_order_of_bytes_and_goes_on_behind_a_name(s3: S3) -> None:
    names = ["\ufb01", "😀", "a/1", "a/2", "a-1", "b", "Z", "~"]
    for name in names:
        s3.store().put_bytes(name, name.encode())
    s3.client.put_object(Bucket=s3.bucket, Key="xrays-of-others/1", Body=b"x")
    store = S3Listing(s3.client, s3.bucket, "xrays", page_size=3)
    in_order = sorted(names, key=str.encode)
    assert [info.name for info in store.list()] == in_order
    assert [info.name for info in store.list("a/")] == ["a/1", "a/2"]
    assert [info.name for info in store.list(after="a/1")] == in_order[in_order.index("a/1") + 1 :]
    assert [info.name for info in store.list("a/", after="a/1")] == ["a/2"]
    for info in store.list():
        assert info.version == info.md5 == hashlib.md5(info.name.encode()).hexdigest()
        assert (info.size, info.crc32c) == (len(info.name.encode()), "")


def test_a_listing_that_may_not_look_at_objects_tells_no_md5(s3: S3) -> None:
    for name in "12345":
        s3.client.put_object(Bucket=s3.bucket, Key=name, Body=b"x")
    heads: list[Answer] = [Answer(404), Answer(403)]

    def before(request: Request) -> Answer | None:
        return heads.pop(0) if request.action == "head" and heads else None

    s3.middle.before = before
    listing = S3Listing(open_s3_store("s3://x", endpoint=s3.middle.url)._client, s3.bucket, "", page_size=2)
    assert [info.md5 for info in listing.list()] == [""] * 5
    assert s3.middle.actions == ["list", "head", "list", "head", "list"]
    heads.append(Answer(503))
    with pytest.raises(Unreachable):
        list(listing.list())


def test_what_is_known_of_an_object_of_others(s3: S3) -> None:
    store = s3.store()
    assert store.stat("absent") is None
    s3.client.put_object(Bucket=s3.bucket, Key="xrays/plain", Body=b"x", Metadata={"sha256": "?", "crc32c": "AAAA"})
    plain = store.stat("plain")
    assert plain is not None
    assert (plain.crc32c, plain.md5, plain.sha256) == ("", hashlib.md5(b"x").hexdigest(), "")
    s3.client.put_object(Bucket=s3.bucket, Key="xrays/kms", Body=b"x", ServerSideEncryption="aws:kms")
    kms = store.stat("kms")
    assert kms is not None
    assert (kms.md5, store.get_bytes("kms")) == ("", b"x")
    s3.client.put_object(
        Bucket=s3.bucket, Key="xrays/crc", Body=b"x", ChecksumCRC32C="AAAAAA==", ChecksumAlgorithm="CRC32C"
    )
    crc = store.stat("crc")
    assert crc is not None
    assert crc.crc32c == "AAAAAA=="
    with pytest.raises(Unreachable, match="arrived damaged"):
        store.get_bytes("crc")


@pytest.mark.parametrize("size", [1000, (8 << 20) + 1], ids=["small", "large"])
@pytest.mark.parametrize("kind", ["size", "crc32c", "md5", "sha256"])
def test_a_file_that_changed_since_its_scan_is_not_stored(s3: S3, tmp_path: Path, kind: str, size: int) -> None:
    data = b"n" * size
    known, other = digest_of(data), digest_of(b"o" * size)
    expected = {
        "size": Digest(size + 1),
        "crc32c": Digest(size, crc32c=other.crc32c),
        "md5": Digest(size, md5=other.md5),
        "sha256": Digest(size, sha256=other.sha256),
    }[kind]
    with pytest.raises(ChangedOnDisk, match=r"image\.jpeg has changed since it was scanned") as caught:
        s3.store().put_file("x", file_of(tmp_path, data), if_version=ABSENT, expected=expected)
    assert caught.value.hint == "scan the folder again: cxr data scan"
    assert (s3.keys, s3.uploads) == ([], 0)
    right = Digest(size, md5=known.md5) if kind == "md5" else Digest(size, sha256=known.sha256)
    stored = s3.store().put_file("x", file_of(tmp_path, data), if_version=ABSENT, expected=right)
    assert (stored.crc32c, stored.sha256) == (known.crc32c, right.sha256)


def test_a_file_that_is_gone_or_may_not_be_read(s3: S3, tmp_path: Path) -> None:
    with pytest.raises(ChangedOnDisk, match="is gone since it was scanned"):
        s3.store().put_file("x", tmp_path / "absent")
    (tmp_path / "folder").mkdir()
    with pytest.raises(Fault, match="cannot read"):
        s3.store().put_file("x", tmp_path / "folder")
    assert s3.middle.requests == []


def test_a_write_names_the_version_that_it_goes_over(s3: S3) -> None:
    store = s3.store()
    first = store.put_bytes("x", b"1", if_version=ABSENT)
    with pytest.raises(VersionConflict, match="somebody else"):
        store.put_bytes("x", b"2", if_version=ABSENT)
    second = store.put_bytes("x", b"22", if_version=first.version)
    with pytest.raises(VersionConflict):
        store.put_bytes("x", b"333", if_version=first.version)
    assert store.get_bytes("x") == b"22"
    assert store.put_bytes("x", b"4444").version != second.version
    with pytest.raises(VersionConflict):
        store.put_bytes("absent", b"1", if_version=first.version)


def test_a_write_whose_answer_is_lost_is_found_to_have_worked(s3: S3, tmp_path: Path) -> None:
    store, data = s3.store(), b"y" * 100_000

    def lose(request: Request, answer: Answer) -> Answer:
        answer.lost = request.action == "put" and answer.status == 200
        return answer

    s3.middle.after = lose
    with pytest.raises(Unreachable):
        store.put_bytes("x", data, if_version=ABSENT)
    with pytest.raises(VersionConflict):
        store.put_file("x", file_of(tmp_path, data), if_version=ABSENT)
    found = store.stat("x")
    assert found is not None
    assert found.holds(Digest(len(data), crc32c_of_bytes(data)))


def test_a_deleted_object_is_gone(s3: S3) -> None:
    store = s3.store()
    first = store.put_bytes("x", b"1")
    second = store.put_bytes("x", b"22")
    for version in (first.version, ABSENT):
        with pytest.raises(VersionConflict):
            store.delete("x", if_version=version)
    store.delete("x", if_version=second.version)
    assert s3.middle.requests[-1].headers["If-Match"] == f'"{second.version}"'
    with pytest.raises(NotFound, match="no such object"):
        store.delete("x")
    with pytest.raises(NotFound):
        store.get_bytes("x")


def test_an_object_replaced_between_look_and_delete_stays(s3: S3) -> None:
    store = s3.store()
    info = store.put_bytes("x", b"1")

    def before(request: Request) -> None:
        if request.action == "delete":
            s3.client.put_object(Bucket=s3.bucket, Key="xrays/x", Body=b"2")

    s3.middle.before = before
    with pytest.raises(VersionConflict):
        store.delete("x", if_version=info.version)
    assert store.get_bytes("x") == b"2"


def test_download_leaves_nothing_under_the_final_name_when_it_fails(s3: S3, tmp_path: Path) -> None:
    store, target = s3.store(), tmp_path / "out" / "file"
    with pytest.raises(NotFound):
        store.get_file("absent", target)
    store.put_bytes("x", b"y" * 100_000)

    def flipped(request: Request, answer: Answer) -> Answer:
        answer.body = answer.body[:-1] + b"?"
        return answer

    def cut(request: Request, answer: Answer) -> Answer:
        answer.sent = 70_000
        return answer

    for spoil, said in ((flipped, "arrived damaged"), (cut, "cut short")):
        s3.middle.after = spoil
        with pytest.raises(Unreachable, match=said):
            store.get_file("x", target)
    assert list((tmp_path / "out").iterdir()) == []


def test_bytes_that_a_server_stores_wrongly_are_noticed_and_removed(s3: S3) -> None:
    def flip(request: Request) -> None:
        if request.action == "put":
            request.body = request.body[:-1] + b"?"

    s3.middle.before = flip
    with pytest.raises(Unreachable, match="arrived damaged"):
        s3.store().put_bytes("x", b"y" * 1000, if_version=ABSENT)
    assert s3.keys == []


def test_etags_that_are_no_md5s_are_not_compared(s3: S3) -> None:
    def kms(request: Request) -> None:
        if request.action == "put":
            request.headers["x-amz-server-side-encryption"] = "aws:kms"

    def opaque(request: Request, answer: Answer) -> Answer:
        answer.headers["ETag"] = '"v1"'
        return answer

    s3.middle.before = kms
    assert s3.store().put_bytes("kms", b"y").size == 1
    s3.middle.after = opaque
    assert s3.store().put_bytes("opaque", b"y").version == "v1"


def test_a_name_that_s3_does_not_take_is_refused_before_anything_is_sent(s3: S3) -> None:
    store = s3.store()
    longest = "ü" * ((1024 - len("xrays/")) // 2)
    store.put_bytes(longest, b"x")
    assert [info.name for info in store.list()] == [longest]
    sent = len(s3.middle.requests)
    for name, said in ((f"{longest}x", "has 1025 bytes"), ("", "needs a name"), ("\ud800", "not Unicode")):
        with pytest.raises(InputError, match=said):
            store.put_bytes(name, b"x")
        with pytest.raises(InputError, match=said):
            store.stat(name)
    assert len(s3.middle.requests) == sent


def test_a_url_without_a_bucket_and_an_endpoint_that_is_none_are_bad_input(s3_origin: str) -> None:
    with pytest.raises(InputError, match="names no bucket"):
        open_s3_store("s3://")
    with pytest.raises(InputError, match="cannot open s3"):
        open_s3_store("s3://bucket", endpoint="nonsense")
    with pytest.raises(NotFound, match="write s3://no-such-bucket-here/x"):
        open_s3_store("s3://no-such-bucket-here", endpoint=s3_origin).put_bytes("x", b"1")
