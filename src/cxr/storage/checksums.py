"""Checksums as stores write them: crc32c (RFC 4960 polynomial) as base64 of its four big-endian bytes, md5 in hex."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import google_crc32c

from cxr.errors import ChangedOnDisk, Fault, VersionConflict
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


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """A file of this machine that cannot be read is an error that names it: ChangedOnDisk or Fault."""
    try:
        yield
    except FileNotFoundError:
        raise gone(path) from None
    except OSError as error:
        raise Fault(f"cannot read {path}: {error.strerror or error}") from error


def read_checked(path: Path, expected: Digest | None) -> tuple[bytes, Digest]:
    """A file's bytes, read once, and what they are: `expected` with its crc32c, or size and crc32c where nothing was
    expected.

    Raises ChangedOnDisk when the file is gone or is not what was expected, Fault when it cannot be read.
    """
    with reading(path):
        data = path.read_bytes() if expected is None else _read(path, expected.size + 1)
    if expected is None:
        return data, digest_of_bytes(data)
    if len(data) != expected.size:
        raise changed(path)
    found = digest_of_bytes(data)
    if expected.crc32c:
        if found.crc32c != expected.crc32c:
            raise changed(path)
        return data, expected
    for value, algorithm in ((expected.sha256, "sha256"), (expected.md5, "md5")):
        if value and hashlib.new(algorithm, data, usedforsecurity=False).hexdigest() != value:
            raise changed(path)
    return data, replace(expected, crc32c=found.crc32c)


def digest_of_file(path: Path, expected: Digest | None) -> Digest:
    """What a file is, read in pieces: `expected` with its crc32c, held against whatever was expected.

    Raises ChangedOnDisk when the file is gone or is not what was expected, Fault when it cannot be read.
    """
    wanted = expected or Digest(-1)
    others = {name: hashlib.new(name, usedforsecurity=False) for name in ("sha256", "md5") if getattr(wanted, name)}
    if wanted.crc32c:
        others = {}
    size = crc = 0
    with reading(path), path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            size, crc = size + len(chunk), int(google_crc32c.extend(crc, chunk))
            for other in others.values():
                other.update(chunk)
    found = Digest(size, crc32c_text(crc))
    if expected is None:
        return found
    if size != expected.size or (expected.crc32c and expected.crc32c != found.crc32c):
        raise changed(path)
    if any(other.hexdigest() != getattr(expected, name) for name, other in others.items()):
        raise changed(path)
    return replace(expected, crc32c=found.crc32c)


def other_bytes(name: str, url: str) -> VersionConflict:
    """The error for an object that is not what it was when it was looked at."""
    return VersionConflict(
        f"{name} has other bytes in {url} than when it was looked at", hint="run the same command again"
    )


def _read(path: Path, most: int) -> bytes:
    # With as few calls as can be: each lets another thread in, which costs more than the call.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, most)
    finally:
        os.close(descriptor)


def gone(path: Path) -> ChangedOnDisk:
    """The error for a file that was scanned and is not there any more."""
    return ChangedOnDisk(f"{path} is gone since it was scanned", hint=_RESCAN)


def changed(path: Path) -> ChangedOnDisk:
    """The error for a file whose bytes are not those that were scanned."""
    return ChangedOnDisk(f"{path} has changed since it was scanned", hint=_RESCAN)
