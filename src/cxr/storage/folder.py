"""A local folder as a store."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from cxr.errors import Fault, InputError, NotFound, VersionConflict
from cxr.files import CHUNK_BYTES, atomic_path
from cxr.storage.checksums import changed, crc32c_of_file, gone
from cxr.storage.limits import Limits
from cxr.storage.store import ABSENT, Digest, ObjectInfo

_AGAIN: Final = "run the command again"


class FolderStore:
    """Objects are files under `root`. The version of a file is its modification time in nanoseconds and its size.

    "Only if absent" is exact (a hard link is made or refused); "only over that version" is checked just before the file
    takes its name.
    """

    def __init__(self, root: Path, limits: Limits | None = None) -> None:
        self.root = root
        self._pace = (limits or Limits()).pace

    @property
    def url(self) -> str:
        """The folder, as given."""
        return str(self.root)

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[ObjectInfo]:
        """All files whose name starts with `prefix`, in order of their names; each is read for its checksum. A
        `.part` is being written and is no object yet."""
        for name in sorted(_file_names(self.root)):
            if name.startswith(prefix) and name > after:
                yield self._info(name)

    def stat(self, name: str) -> ObjectInfo | None:
        """One file."""
        return self._info(name) if self._path(name).is_file() else None

    def put_file(
        self,
        name: str,
        path: Path,
        *,
        if_version: str | None = None,
        expected: Digest | None = None,
        content_type: str | None = None,
    ) -> ObjectInfo:
        """Copy a file in; a content type has no place in a folder and is dropped."""
        del content_type

        def copy(temporary: Path) -> None:
            if not path.is_file():
                raise gone(path)
            self._copy(path, temporary)
            if expected is None:
                return
            size, crc32c = temporary.stat().st_size, crc32c_of_file(temporary)
            if size != expected.size or (expected.crc32c and crc32c != expected.crc32c):
                raise changed(path)

        return self._write(name, if_version, copy)

    def put_bytes(
        self, name: str, data: bytes, *, if_version: str | None = None, content_type: str | None = None
    ) -> ObjectInfo:
        """Write bytes as a file."""
        del content_type
        return self._write(name, if_version, lambda temporary: temporary.write_bytes(data))

    def get_bytes(self, name: str) -> bytes:
        """A file's bytes."""
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            raise NotFound(f"there is no file {self.root / name}") from None

    def get_file(self, name: str, path: Path) -> None:
        """Copy a file out."""
        if not self._path(name).is_file():
            raise NotFound(f"there is no file {self.root / name}")
        with atomic_path(path) as temporary:
            self._copy(self._path(name), temporary)

    def delete(self, name: str, *, if_version: str | None = None) -> None:
        """Remove one file."""
        if not self._path(name).is_file():
            raise NotFound(f"there is no file {self.root / name}")
        self._check_version(name, if_version)
        self._path(name).unlink(missing_ok=True)

    def _write(self, name: str, if_version: str | None, fill: Callable[[Path], object]) -> ObjectInfo:
        target = self._path(name)
        self._check_version(name, if_version)
        try:
            with atomic_path(target, exclusive=if_version == ABSENT) as temporary:
                fill(temporary)
                self._check_version(name, if_version)
        except FileExistsError:
            raise self._conflict(name) from None
        return self._info(name)

    def _copy(self, source: Path, target: Path) -> None:
        with source.open("rb") as incoming, target.open("wb") as outgoing:
            while chunk := incoming.read(CHUNK_BYTES):
                self._pace.take(len(chunk))
                outgoing.write(chunk)

    def _path(self, name: str) -> Path:
        path = (self.root / name).resolve()
        if not path.is_relative_to(self.root.resolve()):
            raise InputError(f"the name {name!r} leaves the folder {self.root}")
        return path

    def _check_version(self, name: str, if_version: str | None) -> None:
        if if_version is None:
            return
        path = self._path(name)
        if (_version(path) if path.exists() else ABSENT) != if_version:
            raise self._conflict(name)

    def _conflict(self, name: str) -> VersionConflict:
        return VersionConflict(f"{self.root / name}: somebody else changed it meanwhile", hint=_AGAIN)

    def _info(self, name: str) -> ObjectInfo:
        path = self._path(name)
        try:
            return ObjectInfo(name, path.stat().st_size, crc32c_of_file(path), _version(path))
        except OSError as error:
            raise Fault(f"cannot read {path}: {error.strerror}") from error


def _version(path: Path) -> str:
    found = path.stat()
    return f"{found.st_mtime_ns}-{found.st_size}"


def _file_names(root: Path) -> Iterator[str]:
    for folder, _, names in os.walk(root):
        inside = Path(folder).relative_to(root).as_posix()
        for name in names:
            if not name.endswith(".part"):
                yield name if inside == "." else f"{inside}/{name}"
