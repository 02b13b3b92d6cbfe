"""What S3's answers say of an object, what requests say of it, and the bytes on their way."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from typing import Any, BinaryIO, Final

import google_crc32c

from cxr.errors import InputError, Unreachable
from cxr.storage.checksums import crc32c_text
from cxr.storage.limits import Pace
from cxr.storage.store import ABSENT, Digest, ObjectInfo

#: What is handed to the socket, or read from it, at once.
BLOCK_BYTES: Final = 64 << 10
#: UTF-8 bytes of an object's key (Amazon S3 User Guide, Naming Amazon S3 objects).
MAX_KEY_BYTES: Final = 1024
#: An ETag with a dash is a digest of the parts' digests (multipart upload), not the md5 of the bytes.
_MD5: Final = re.compile(r"[0-9a-f]{32}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_CRC32C: Final = re.compile(r"[0-9A-Za-z+/]{6}==")
#: Server-side encryption under which the ETag is not the md5, whatever it looks like (Amazon S3 API Reference, Object).
_NOT_MD5_ENCRYPTION: Final = frozenset({"aws:kms", "aws:kms:dsse"})
#: The end of a directory bucket's name, whose ETags are no md5s (Amazon S3 User Guide, Directory buckets).
_DIRECTORY_BUCKET: Final = "--x-s3"


def checked_key(key: str) -> str:
    """`key` itself. Raises InputError for one that S3 does not take."""
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        raise InputError(f"{key!r} cannot be the name of an object: it is not Unicode") from None
    if length > MAX_KEY_BYTES:
        raise InputError(
            f"the name {key!r} has {length} bytes, and S3 takes {MAX_KEY_BYTES}", hint="shorten the file's path"
        )
    return key


def precondition(if_version: str | None) -> dict[str, str]:
    """The parameters by which a write or delete names the version that it goes over."""
    if if_version is None:
        return {}
    return {"IfNoneMatch": "*"} if if_version == ABSENT else {"IfMatch": f'"{if_version}"'}


def metadata_of(digest: Digest) -> dict[str, str]:
    """An object's own metadata: its checksums, as S3 gives neither sha256 nor (of an upload in parts) md5."""
    return {key: value for key, value in (("sha256", digest.sha256), ("crc32c", digest.crc32c)) if value}


def info_of(name: str, bucket: str, answer: dict[str, Any]) -> ObjectInfo:
    """An object by the answer to HeadObject or GetObject."""
    etag = etag_of(answer)
    metadata = answer.get("Metadata", {})
    crc32c, sha256 = str(metadata.get("crc32c", "")), str(metadata.get("sha256", ""))
    return ObjectInfo(
        name,
        int(answer["ContentLength"]),
        # What the client wrote comes first: some servers give the parts' CRC32 out as the whole's CRC32C.
        crc32c if _CRC32C.fullmatch(crc32c) else full_crc32c(answer),
        etag,
        etag if looks_like_md5(etag) and tells_md5(answer, bucket) else "",
        sha256 if _SHA256.fullmatch(sha256) else "",
    )


def etag_of(answer: dict[str, Any]) -> str:
    """The ETag, without the quotes around it."""
    return str(answer.get("ETag", "")).strip('"')


def looks_like_md5(etag: str) -> bool:
    """Whether an ETag is not that of an upload in parts."""
    return _MD5.fullmatch(etag) is not None


def tells_md5(answer: dict[str, Any], bucket: str) -> bool:
    """Whether the ETags of an object stored in this way come from md5s."""
    return (
        answer.get("ServerSideEncryption") not in _NOT_MD5_ENCRYPTION
        and "SSECustomerAlgorithm" not in answer
        and not bucket.endswith(_DIRECTORY_BUCKET)
    )


def full_crc32c(answer: dict[str, Any]) -> str:
    """The crc32c of all bytes; that of an upload in parts may be one of the parts' checksums."""
    crc32c = str(answer.get("ChecksumCRC32C", ""))
    return crc32c if _CRC32C.fullmatch(crc32c) and answer.get("ChecksumType") != "COMPOSITE" else ""


def base64_md5(hexdigest: str) -> str:
    """An md5 as Content-MD5 has it."""
    return base64.b64encode(bytes.fromhex(hexdigest)).decode("ascii")


class Hashes:
    """The digest of bytes that pass by: always crc32c, the others on demand."""

    def __init__(self, *, md5: bool = False, sha256: bool = False) -> None:
        self._size, self._crc32c = 0, 0
        self._md5 = hashlib.md5(usedforsecurity=False) if md5 else None
        self._sha256 = hashlib.sha256() if sha256 else None

    def update(self, block: bytes) -> None:
        """Count the next bytes in."""
        self._size += len(block)
        self._crc32c = int(google_crc32c.extend(self._crc32c, block))
        for one in (self._md5, self._sha256):
            if one is not None:
                one.update(block)

    @property
    def digest(self) -> Digest:
        """The digest of all bytes so far."""
        md5, sha256 = (one.hexdigest() if one else "" for one in (self._md5, self._sha256))
        return Digest(self._size, crc32c_text(self._crc32c), md5, sha256)


class PacedBody:
    """`length` bytes of a stream from `start` on, as the body of a request: every block passes the pace."""

    def __init__(self, stream: BinaryIO, start: int, length: int, pace: Pace) -> None:
        self._stream, self._start, self._length, self._pace = stream, start, length, pace
        self._at = 0

    def __len__(self) -> int:
        return self._length

    def read(self, size: int = -1) -> bytes:
        """The next block: not more than 64 KiB where a size is asked for, so that a slow line has time for it."""
        left = self._length - self._at
        wanted = left if size is None or size < 0 else min(left, size, BLOCK_BYTES)
        if wanted == 0:
            return b""
        self._pace.take(wanted)
        self._stream.seek(self._start + self._at)
        block = self._stream.read(wanted)
        if len(block) < wanted:
            raise Unreachable("the file became shorter while it was sent")
        self._at += wanted
        return block

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As of any file: boto3 goes back to the start when a request is redirected to the bucket's region."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Bytes read so far."""
        return self._at
