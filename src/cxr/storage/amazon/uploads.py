"""Bytes to S3: small ones in one request, a large file in parts that a later attempt or process goes on with.

Every request carries the md5 and the crc32c of its bytes, and the answer's ETag is compared with the md5 once more, for
servers that check neither.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from cxr.errors import CxrError, InputError, NotAllowed, NotFound, Unreachable, VersionConflict
from cxr.storage.amazon.errors import UploadOver, s3_errors
from cxr.storage.amazon.objects import (
    BLOCK_BYTES,
    Hashes,
    PacedBody,
    base64_md5,
    etag_of,
    full_crc32c,
    looks_like_md5,
    metadata_of,
    precondition,
    tells_md5,
)
from cxr.storage.checksums import changed, reading
from cxr.storage.limits import Pace
from cxr.storage.sessions import SessionRecords, session_key
from cxr.storage.store import ABSENT, Digest

#: The smallest part that is sent; S3 takes 5 MiB (Amazon S3 User Guide, Amazon S3 multipart upload limits).
MIN_PART_BYTES: Final = 8 << 20
#: The most parts of one upload (the same page).
MAX_PARTS: Final = 10_000
#: The most parts that one answer lists (the same page).
MAX_PAGE: Final = 1000
_PART_STEP: Final = 1 << 20
_READ_BYTES: Final = 1 << 20
_AGAIN: Final = "run the same command again"


@dataclass(frozen=True, slots=True)
class Target:
    """Where an object goes, how it is to be stored, and how to say so."""

    client: Any
    bucket: str
    key: str
    what: str
    if_version: str | None
    content_type: str | None

    @property
    def place(self) -> dict[str, str]:
        """The parameters that name the object."""
        return {"Bucket": self.bucket, "Key": self.key}

    @property
    def form(self) -> dict[str, str]:
        """The parameters that say what kind of object it is and by which checksum it is checked."""
        return {"ContentType": self.content_type or "application/octet-stream", "ChecksumAlgorithm": "CRC32C"}


def part_bytes(size: int) -> int:
    """The size of the parts of a file of `size` bytes: 8 MiB, or whole MiB such that 10,000 parts are enough."""
    least = -(-size // MAX_PARTS)
    return max(MIN_PART_BYTES, -(-least // _PART_STEP) * _PART_STEP)


def put_single(target: Target, data: bytes, digest: Digest, pace: Pace) -> tuple[str, str]:
    """Store `data` in one request; the ETag and the md5. `digest` has its size and crc32c at least."""
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    body: bytes | PacedBody = data
    if len(data) > BLOCK_BYTES:
        body = PacedBody(io.BytesIO(data), 0, len(data), pace)
    else:
        pace.take(len(data))
    with s3_errors(target.what):
        answer = target.client.put_object(
            **target.place,
            **target.form,
            Body=body,
            ContentMD5=base64_md5(md5),
            ChecksumCRC32C=digest.crc32c,
            Metadata=metadata_of(digest),
            **precondition(target.if_version),
        )
    _verify(target, answer, md5, digest.crc32c)
    return etag_of(answer), md5


def _verify(target: Target, answer: dict[str, Any], etag: str, crc32c: str) -> None:
    """Raises Unreachable, and removes the object, when the answer tells of other bytes than were sent."""
    told_crc32c, told_etag = full_crc32c(answer), etag_of(answer)
    comparable = tells_md5(answer, target.bucket) and _form(told_etag) == _form(etag)
    if told_crc32c in ("", crc32c) and (told_etag == etag or not comparable):
        return
    with suppress(CxrError), s3_errors(target.what):
        target.client.delete_object(**target.place, **precondition(told_etag or None))
    raise Unreachable(f"{target.what}: the bytes arrived damaged", hint=_AGAIN)


def _form(etag: str) -> str:
    """What kind of ETag it is: parts are counted behind a dash."""
    md5, _, parts = etag.partition("-")
    return f"md5-{parts}" if looks_like_md5(md5) else "opaque"


class PartsUpload:
    """One attempt to bring a file to its target in parts; those that have arrived count for the next attempt.

    Without `sessions` nothing could be found again: then a failed attempt takes back what it sent.
    """

    def __init__(self, target: Target, path: Path, pace: Pace, sessions: SessionRecords | None) -> None:
        self._target, self._path, self._pace, self._sessions = target, path, pace, sessions
        self._key = ""
        self._id: str | None = None
        #: Whether this attempt has brought a part over that the next one need not send.
        self.made_progress = False

    def send(self, url: str, name: str, expected: Digest | None, *, page_size: int = MAX_PAGE) -> tuple[str, Digest]:
        """Send what is missing; the ETag, and what the object is. `url` and `name` tell the upload from others.

        Raises ChangedOnDisk when the file is gone or is not `expected`, and what a Store does.
        """
        with reading(self._path):
            stream = self._path.open("rb", buffering=0)
        with stream:
            digest = self._known(stream, expected)
            origin = str(self._target.client.meta.endpoint_url)
            self._key = session_key(f"{origin} {url}", name, digest, self._target.if_version)
            self._id = None if self._sessions is None else self._sessions.get(self._key)
            try:
                self._check_version()
                parts, etag = self._send_parts(stream, digest, self._parts_there(page_size))
                return self._complete(parts, etag, digest), digest
            except BaseException as error:
                if self._sessions is None or isinstance(error, InputError | VersionConflict | UploadOver):
                    self._abandon()
                raise

    def _known(self, stream: BinaryIO, expected: Digest | None) -> Digest:
        """What the file must be. Where nobody says, it is read once before it is sent."""
        size = os.fstat(stream.fileno()).st_size
        if expected is not None and expected.size != size:
            raise changed(self._path)
        if expected is not None and expected.crc32c:
            return expected
        hashes = Hashes()
        for block in self._blocks(stream, 0, size):
            hashes.update(block)
        md5, sha256 = (expected.md5, expected.sha256) if expected else ("", "")
        return Digest(size, hashes.digest.crc32c, md5, sha256)

    def _check_version(self) -> None:
        """The precondition holds when the upload is completed; this spares to send a large file for nothing."""
        target = self._target
        if target.if_version is None:
            return
        try:
            with s3_errors(target.what):
                found = etag_of(target.client.head_object(**target.place))
        except NotFound:
            found = ABSENT
        except NotAllowed:
            return  # who may only write learns it at the end
        if found != target.if_version:
            raise VersionConflict(f"{target.what}: somebody else changed it meanwhile", hint=_AGAIN)

    def _parts_there(self, page_size: int) -> dict[int, dict[str, Any]]:
        """The parts of the remembered upload by number; forgets an upload that the service has forgotten."""
        if self._id is None:
            return {}
        try:
            with s3_errors(self._target.what):
                pages = self._target.client.get_paginator("list_parts").paginate(
                    **self._target.place, UploadId=self._id, PaginationConfig={"PageSize": page_size}
                )
                return {int(part["PartNumber"]): part for page in pages for part in page.get("Parts", ())}
        except UploadOver:
            self._forget()
        except NotAllowed:
            self._abandon()
            self._id = None
        return {}

    def _begin(self, digest: Digest) -> str:
        with s3_errors(self._target.what):
            answer = self._target.client.create_multipart_upload(
                **self._target.place, **self._target.form, ChecksumType="FULL_OBJECT", Metadata=metadata_of(digest)
            )
        self._id = str(answer["UploadId"])
        if self._sessions is not None:
            self._sessions.put(self._key, self._id)
        return self._id

    def _send_parts(
        self, stream: BinaryIO, digest: Digest, there: dict[int, dict[str, Any]]
    ) -> tuple[list[dict[str, Any]], str]:
        """The list of parts that completes the upload, and the ETag that it must get."""
        upload, length = self._id or self._begin(digest), part_bytes(digest.size)
        whole = Hashes(md5=bool(digest.md5 and not digest.sha256), sha256=bool(digest.sha256))
        parts, md5s = [], b""
        for number, start in enumerate(range(0, digest.size, length), 1):
            hashes, wanted = Hashes(md5=True), min(length, digest.size - start)
            for block in self._blocks(stream, start, wanted):
                hashes.update(block)
                whole.update(block)
            part = hashes.digest
            if part.size != wanted:
                raise changed(self._path)
            etag = _same_part(there.get(number), part)
            if etag is None:
                etag = self._send_part(PacedBody(stream, start, part.size, self._pace), upload, number, part)
                self.made_progress = True
                self._pace.progressed()
            parts.append({"PartNumber": number, "ETag": etag, "ChecksumCRC32C": part.crc32c})
            md5s += bytes.fromhex(part.md5)
        if not _same(whole.digest, digest) or os.fstat(stream.fileno()).st_size != digest.size:
            raise changed(self._path)
        return parts, f"{hashlib.md5(md5s, usedforsecurity=False).hexdigest()}-{len(parts)}"

    def _send_part(self, body: PacedBody, upload: str, number: int, part: Digest) -> str:
        with s3_errors(self._target.what):
            answer = self._target.client.upload_part(
                **self._target.place,
                UploadId=upload,
                PartNumber=number,
                Body=body,
                ContentMD5=base64_md5(part.md5),
                ChecksumAlgorithm="CRC32C",
                ChecksumCRC32C=part.crc32c,
            )
        etag = etag_of(answer)
        if etag != part.md5 and looks_like_md5(etag) and tells_md5(answer, self._target.bucket):
            raise Unreachable(f"{self._target.what}: the bytes of part {number} arrived damaged", hint=_AGAIN)
        return str(answer["ETag"])

    def _complete(self, parts: list[dict[str, Any]], etag: str, digest: Digest) -> str:
        target = self._target
        with s3_errors(target.what):
            answer = target.client.complete_multipart_upload(
                **target.place,
                UploadId=self._id,
                MultipartUpload={"Parts": parts},
                ChecksumCRC32C=digest.crc32c,
                ChecksumType="FULL_OBJECT",
                MpuObjectSize=digest.size,
                **precondition(target.if_version),
            )
        self._forget()
        _verify(target, answer, etag, digest.crc32c)
        return etag_of(answer)

    def _blocks(self, stream: BinaryIO, start: int, length: int) -> Iterator[bytes]:
        stream.seek(start)
        while length > 0:
            self._pace.take(0)  # ends here when the transfer is cancelled
            with reading(self._path):
                block = stream.read(min(length, _READ_BYTES))
            if not block:
                return
            yield block
            length -= len(block)

    def _abandon(self) -> None:
        """Take back the parts, for which S3 asks money. What cannot be taken back now stays remembered."""
        self.made_progress = False
        if self._id is None:
            return
        try:
            with s3_errors(self._target.what):
                self._target.client.abort_multipart_upload(**self._target.place, UploadId=self._id)
        except UploadOver:
            pass
        except CxrError:
            return
        self._forget()

    def _forget(self) -> None:
        self._id, self.made_progress = None, False
        if self._sessions is not None:
            self._sessions.drop(self._key)


def _same_part(there: dict[str, Any] | None, part: Digest) -> str | None:
    """The ETag of a part that has arrived with the right bytes."""
    if there is None or int(there.get("Size", -1)) != part.size:
        return None
    crc32c = full_crc32c(there)
    same = crc32c == part.crc32c if crc32c else etag_of(there) == part.md5
    return str(there["ETag"]) if same else None


def _same(found: Digest, expected: Digest) -> bool:
    pairs = ((found.crc32c, expected.crc32c), (found.md5, expected.md5), (found.sha256, expected.sha256))
    return found.size == expected.size and all(ours == theirs for ours, theirs in pairs if ours and theirs)
