"""Checksums as stores write them: crc32c (RFC 4960 polynomial) as base64 of its four big-endian bytes, md5 in hex."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import google_crc32c

from cxr.errors import ChangedOnDisk
from cxr.files import CHUNK_BYTES
from cxr.storage.store import Digest

_RESCAN = "scan the folder again: cxr data scan"


def crc32c_of_bytes(data: bytes) -> str:
    """The base64 crc32c of `data`."""
    return crc32c_text(int(google_crc32c.value(data)))


def crc32c_of_file(path: Path) -> str:
    """The base64 crc32c of a file's bytes, read in pieces."""
    return crc32c_text(crc32c_of_start(path, None))


def crc32c_of_start(path: Path, length: int | None) -> int:
    """The crc32c, as a number, of a file's first `length` bytes (all of them: None)."""
    value, left = 0, length
    with path.open("rb") as stream:
        while left != 0 and (chunk := stream.read(CHUNK_BYTES if left is None else min(CHUNK_BYTES, left))):
            value = int(google_crc32c.extend(value, chunk))
            left = None if left is None else left - len(chunk)
    return value


def crc32c_text(value: int) -> str:
    """A crc32c number as stores write it."""
    return base64.b64encode(value.to_bytes(4, "big")).decode("ascii")


def digest_of_bytes(data: bytes) -> Digest:
    """Size and crc32c of `data`."""
    return Digest(len(data), crc32c_of_bytes(data))


def read_checked(path: Path, expected: Digest | None) -> tuple[bytes, Digest]:
    """A file's bytes, read once, and what they are: `expected`, or size and crc32c where nothing was expected.

    Raises ChangedOnDisk when the file is gone or is not what was expected.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise gone(path) from None
    found = digest_of_bytes(data)
    if expected is None:
        return data, found
    if not _same(data, found, expected):
        raise changed(path)
    return data, expected if expected.crc32c else Digest(found.size, found.crc32c, expected.md5, expected.sha256)


def gone(path: Path) -> ChangedOnDisk:
    """The error for a file that was scanned and is not there any more."""
    return ChangedOnDisk(f"{path} is gone since it was scanned", hint=_RESCAN)


def changed(path: Path) -> ChangedOnDisk:
    """The error for a file whose bytes are not those that were scanned."""
    return ChangedOnDisk(f"{path} has changed since it was scanned", hint=_RESCAN)


def _same(data: bytes, found: Digest, expected: Digest) -> bool:
    if found.size != expected.size:
        return False
    if expected.crc32c:
        return found.crc32c == expected.crc32c
    if expected.sha256:
        return hashlib.sha256(data).hexdigest() == expected.sha256
    return not expected.md5 or hashlib.md5(data, usedforsecurity=False).hexdigest() == expected.md5
