"""The bytes of objects: one file each, written once under a name that nothing knows until the database does.

A crash between the two leaves an orphan, which the next start removes.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import google_crc32c

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Blob:
    """One stored file: its id, size in bytes and checksums (base64, big-endian crc32c, as the service writes them)."""

    id: str
    size: int
    crc32c: str
    md5: str


class BlobStore:
    """A folder of immutable files, in 256 subfolders."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for number in range(256):
            (folder / f"{number:02x}").mkdir(parents=True, exist_ok=True)

    def path(self, blob_id: str) -> Path:
        """Where the bytes of a blob are."""
        return self._folder / blob_id[:2] / blob_id

    def write(self, chunks: Iterable[bytes]) -> Blob:
        """Store bytes and compute their checksums on the way."""
        blob_id = uuid.uuid4().hex
        crc, md5, size = 0, hashlib.md5(usedforsecurity=False), 0
        with self.path(blob_id).open("wb", buffering=0) as stream:
            for chunk in chunks:
                stream.write(chunk)
                crc = google_crc32c.extend(crc, chunk)
                md5.update(chunk)
                size += len(chunk)
        return Blob(blob_id, size, _base64(crc.to_bytes(4, "big")), _base64(md5.digest()))

    def adopt(self, path: Path) -> Blob:
        """Make a blob of a finished file by a second link to it; the caller removes the first when it is safe."""
        blob_id = uuid.uuid4().hex
        crc, md5, size = 0, hashlib.md5(usedforsecurity=False), 0
        for chunk in _chunks(path):
            crc = google_crc32c.extend(crc, chunk)
            md5.update(chunk)
            size += len(chunk)
        self.path(blob_id).hardlink_to(path)
        return Blob(blob_id, size, _base64(crc.to_bytes(4, "big")), _base64(md5.digest()))

    def remove(self, blob_id: str) -> None:
        """Forget a blob; a download that has it open still gets all of it."""
        self.path(blob_id).unlink(missing_ok=True)

    def remove_orphans(self, known: Iterable[str]) -> int:
        """Remove every file that the database does not know; how many there were."""
        wanted = set(known)
        orphans = [path for path in self._folder.glob("??/*") if path.name not in wanted]
        for path in orphans:
            path.unlink(missing_ok=True)
        return len(orphans)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")
