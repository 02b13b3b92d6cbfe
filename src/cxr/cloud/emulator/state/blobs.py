"""The bytes of objects: small ones in packs, large ones in a file each, both immutable and unknown until the database
knows them.

A crash between the two leaves an orphan, which the next start removes (a file) or never looks at (a place in a pack).
"""

from __future__ import annotations

import base64
import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import google_crc32c

from cxr.cloud.emulator.state.ghosts import Ghost
from cxr.cloud.emulator.state.packs import SEGMENT_BYTES, Packs, Place

CHUNK_BYTES = 1 << 20
#: Objects up to this size go into packs.
SMALL_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes with size and checksums (base64, big-endian crc32c, as the service writes them).

    `id` is empty while `data` has not been stored: BlobStore.keep does that.
    """

    id: str
    size: int
    crc32c: str
    md5: str
    data: bytes | None = None


class BlobStore:
    """A folder of packs and of files. A blob's id says which: `SEGMENT:OFFSET:LENGTH`, or the file's name; or it is a
    ghost's, whose bytes are made."""

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = folder
        self._templates: dict[str, bytes] = {}
        self._packs = Packs(folder / "packs", segment_bytes)

    def blob_of(self, data: bytes) -> Blob:
        """Bytes that are in memory, with their checksums; not stored."""
        digest = _Digest()
        digest.update(data)
        return digest.blob("", data)

    def write(self, chunks: Iterable[bytes]) -> Blob:
        """Bytes with the checksums computed on the way: in a file when they are many, otherwise not stored yet."""
        head, rest = _first_bytes(chunks)
        if len(head) <= SMALL_BYTES:
            return self.blob_of(head)
        blob_id, digest = uuid.uuid4().hex, _Digest()
        path = self._file(blob_id)
        path.parent.mkdir(exist_ok=True)
        try:
            with path.open("wb", buffering=0) as stream:
                for chunk in rest:
                    write_all(stream.fileno(), chunk)
                    digest.update(chunk)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return digest.blob(blob_id)

    def adopt(self, path: Path) -> Blob:
        """A blob with the bytes of a finished file (when large by a second link to it); the caller removes the file."""
        if path.stat().st_size <= SMALL_BYTES:
            return self.blob_of(path.read_bytes())
        blob_id, digest = uuid.uuid4().hex, _Digest()
        for chunk in _chunks(path):
            digest.update(chunk)
        self._file(blob_id).parent.mkdir(exist_ok=True)
        self._file(blob_id).hardlink_to(path)
        return digest.blob(blob_id)

    def keep(self, blob: Blob) -> Blob:
        """Store what is only in memory. Raises OSError when the disk refuses."""
        if blob.data is None:
            return blob
        return replace(blob, id=str(self._packs.append(blob.data)), data=None)

    def read(self, blob_id: str, start: int, length: int) -> bytes:
        """A piece of a blob. Raises FileNotFoundError when it is gone, or shorter than that."""
        ghost = Ghost.parse(blob_id)
        if ghost is not None:
            return self._bytes_of(ghost)[start : start + length]
        place = Place.parse(blob_id)
        if place is not None:
            return self._packs.read(place, start, length)
        descriptor = self.open(blob_id, start + length)
        try:
            return os.pread(descriptor, length, start)
        finally:
            os.close(descriptor)

    def chunks(self, blob_id: str, size: int) -> Iterator[bytes]:
        """A whole blob, at most one MiB at a time. Raises FileNotFoundError when it is gone, or shorter than that."""
        ghost = Ghost.parse(blob_id)
        if ghost is not None:
            yield self._bytes_of(ghost)
            return
        place = Place.parse(blob_id)
        if place is not None:
            yield self._packs.read(place, 0, size)
            return
        os.close(self.open(blob_id, size))
        yield from _chunks(self._file(blob_id))

    def open(self, blob_id: str, size: int) -> int:
        """A descriptor of a blob that has a file of its own.

        Raises FileNotFoundError when it is gone, or has less than `size` bytes.
        """
        descriptor = os.open(self._file(blob_id), os.O_RDONLY)
        if os.fstat(descriptor).st_size < size:
            os.close(descriptor)
            raise FileNotFoundError(f"{self._file(blob_id)} has less than {size} bytes")
        return descriptor

    def remove(self, blob_id: str) -> None:
        """Forget a blob; a download that has it open still gets all of it. A ghost's template stays for the others,
        until the next start finds that there are none."""
        if not blob_id or Ghost.parse(blob_id) is not None:
            return
        place = Place.parse(blob_id)
        if place is not None:
            self._packs.remove(place)
        else:
            self._file(blob_id).unlink(missing_ok=True)

    def remove_orphans(self, known: Iterable[str]) -> int:
        """Remove every file and every segment that the database does not know; how many there were."""
        files: set[str] = set()
        places: list[Place] = []
        for blob_id in known:
            ghost = Ghost.parse(blob_id)
            place = Place.parse(blob_id) if ghost is None else None
            if ghost is not None:
                files.add(ghost.template)
            elif place is None:
                files.add(blob_id)
            else:
                places.append(place)
        orphans = [path for path in self._folder.glob("[0-9a-f][0-9a-f]/*") if path.name not in files]
        for path in orphans:
            path.unlink(missing_ok=True)
        return len(orphans) + self._packs.count_live(places)

    def sparse_prefixes(self) -> list[str]:
        """What the ids of blobs begin with that would better be stored anew, because their segment is mostly empty."""
        return [f"{number}:" for number in self._packs.sparse_segments()]

    def store_template(self, data: bytes) -> str:
        """Store what ghosts are made of, in a file that is no object's own; its id."""
        template = uuid.uuid4().hex
        path = self._file(template)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return template

    def _bytes_of(self, ghost: Ghost) -> bytes:
        data = self._templates.get(ghost.template)
        if data is None:
            data = self._file(ghost.template).read_bytes()
            self._templates = {ghost.template: data}  # one at a time: they come one after another
        return data + ghost.ending()

    def _file(self, blob_id: str) -> Path:
        return self._folder / blob_id[:2] / blob_id


class _Digest:
    def __init__(self) -> None:
        self._crc, self._md5, self._size = 0, hashlib.md5(usedforsecurity=False), 0

    def update(self, chunk: bytes) -> None:
        self._crc = google_crc32c.extend(self._crc, chunk)
        self._md5.update(chunk)
        self._size += len(chunk)

    def blob(self, blob_id: str, data: bytes | None = None) -> Blob:
        return Blob(blob_id, self._size, _base64(self._crc.to_bytes(4, "big")), _base64(self._md5.digest()), data)


def _first_bytes(chunks: Iterable[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """All bytes when they are few, otherwise more than that; and all the chunks, those that were looked at included."""
    seen: list[bytes] = []
    size, rest = 0, iter(chunks)
    for chunk in rest:
        seen.append(chunk)
        size += len(chunk)
        if size > SMALL_BYTES:
            break
    head = seen[0] if len(seen) == 1 else b"".join(seen)

    def everything() -> Iterator[bytes]:
        yield head
        yield from rest

    return head, everything()


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte at the descriptor's position. Raises OSError when the disk refuses."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")
