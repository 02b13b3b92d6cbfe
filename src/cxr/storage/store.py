"""The Store interface: list with size and checksums, conditional put, get, delete.

A store is a bucket (or folder) and a prefix in it; object names are POSIX paths relative to that prefix. Everything
here is one attempt: `cxr.storage.retrying` tries again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

#: The version of an object that is not there: `if_version=ABSENT` means "only if there is none".
ABSENT: Final = "absent"


@dataclass(frozen=True, slots=True)
class Digest:
    """What some bytes are: their number, crc32c (base64 of four big-endian bytes), md5 (hex) and sha256 (hex). A
    checksum that is not known is empty."""

    size: int
    crc32c: str = ""
    md5: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One stored object: name relative to the store, size in bytes, checksums as in `Digest`, and the version that a
    later conditional write can name (a generation of Cloud Storage, an ETag of S3; opaque to everybody else). What the
    backend does not tell is empty."""

    name: str
    size: int
    crc32c: str = ""
    version: str = ""
    md5: str = ""
    sha256: str = ""

    def holds(self, digest: Digest) -> bool | None:
        """Whether these are the bytes of `digest`; None when size and known checksums do not tell."""
        if self.size != digest.size:
            return False
        pairs = ((self.sha256, digest.sha256), (self.md5, digest.md5), (self.crc32c, digest.crc32c))
        known = [ours == theirs for ours, theirs in pairs if ours and theirs]
        return all(known) if known else None


class Listing(Protocol):
    """A place whose objects can at least be listed. Raises what a Store does."""

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end: `gs://bucket/prefix`, `s3://bucket/prefix` or a folder."""

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[ObjectInfo]:
        """All objects whose name starts with `prefix` and comes after the name `after`, in order of their names' UTF-8
        bytes, page by page."""


class Store(Listing, Protocol):
    """What every backend can do.

    Raises NotAllowed (credentials, permission), NotFound (no such bucket or object), InputError (refused, or a file
    that is not what was scanned), VersionConflict (the object is not the version that was named), Unreachable (may
    work later; `retry_after` is what the service asked for), Fault (all else).
    """

    def stat(self, name: str) -> ObjectInfo | None:
        """One object with all that the backend knows of it, its metadata's sha256 included; None when there is none."""

    def put_file(
        self,
        name: str,
        path: Path,
        *,
        if_version: str | None = None,
        expected: Digest | None = None,
        content_type: str | None = None,
    ) -> ObjectInfo:
        """Store a file's bytes, sent with their checksum and verified from the answer.

        `if_version` ABSENT means only if there is none, another value only over that version, None unconditionally (and
        then it is never tried twice). `expected` is what the bytes must be: they are read once, and when they are
        something else no object is made and ChangedOnDisk is raised. Its sha256 becomes metadata of the object.
        """

    def put_bytes(
        self, name: str, data: bytes, *, if_version: str | None = None, content_type: str | None = None
    ) -> ObjectInfo:
        """Store bytes, in the same way."""

    def get_bytes(self, name: str) -> bytes:
        """An object's bytes, checked against its checksum. Raises NotFound when there is none."""

    def get_file(self, name: str, path: Path, *, expected: Digest | None = None) -> None:
        """Download to `path`, under a temporary name until it is whole and its checksum is right. When the object is
        not `expected` nothing is changed and VersionConflict is raised."""

    def delete(self, name: str, *, if_version: str | None = None) -> None:
        """Delete one object. Raises NotFound when there is none."""
