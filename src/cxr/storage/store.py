"""The Store interface: list with size and checksum, conditional put, get, delete.

A store is a bucket (or folder) and a prefix in it; object names are POSIX paths relative to that prefix.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One stored object: name relative to the store, size in bytes, crc32c (base64), the generation that a later
    conditional write can name (None where the backend has none), and md5 (hex). What the backend does not tell of a
    checksum is empty."""

    name: str
    size: int
    crc32c: str
    generation: int | None = None
    md5: str = ""


class Listing(Protocol):
    """A place whose objects can at least be listed. Raises what a Store does."""

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end: `gs://bucket/prefix`, `s3://bucket/prefix` or a folder."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All objects whose name starts with `prefix`, in order of their names."""


class Store(Protocol):
    """What every backend can do.

    Raises NotAllowed (credentials, permission), InputError (no such bucket or object), Fault (all else).
    """

    @property
    def url(self) -> str:
        """Where the store is, without a slash at the end: `gs://bucket/prefix` or a folder."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All objects whose name starts with `prefix`, in order of their names."""

    def put_file(
        self,
        name: str,
        path: Path,
        *,
        if_generation: int | None = None,
        crc32c: str | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectInfo:
        """Store a file's bytes. `if_generation` 0 means only if absent, n only over that generation; `crc32c` is what
        the bytes must have, or the object is not made."""

    def put_bytes(
        self, name: str, data: bytes, *, if_generation: int | None = None, content_type: str | None = None
    ) -> ObjectInfo:
        """Store bytes."""

    def get_bytes(self, name: str) -> bytes:
        """An object's bytes. Raises InputError when there is none."""

    def get_file(self, name: str, path: Path) -> None:
        """Download to `path`, under a temporary name until it is whole and its checksum is right."""

    def delete(self, name: str, *, if_generation: int | None = None) -> None:
        """Delete one object."""
