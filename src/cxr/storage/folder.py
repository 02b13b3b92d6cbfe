"""A local folder as a store."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from cxr.errors import ChangedOnDisk, Fault, InputError, NotFound, VersionConflict
from cxr.files import CHUNK_BYTES, atomic_path, is_unfinished
from cxr.storage.checksums import changed, crc32c_of_file, digest_of_file, other_bytes, reading
from cxr.storage.limits import Limits
from cxr.storage.store import ABSENT, Digest, ObjectInfo

_AGAIN: Final = "run the command again"


class FolderStore:
    """Objects are files under `root`; links are not. The version of a file is its modification time in nanoseconds and
    its size.

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
        """All files whose name starts with `prefix`, in order of their names; each is read for its checksum.
        What is being written is no object yet."""
        for name in sorted(_file_names(self.root)):
            if name.startswith(prefix) and name > after:
                yield self._info(name)

    def stat(self, name: str) -> ObjectInfo | None:
        """One file."""
        return self._info(name) if _is_object(self._path(name)) else None

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
            with reading(path):
                source = path.open("rb")
            with source:
                self._copy(source, temporary)
            try:
                digest_of_file(temporary, expected)
            except ChangedOnDisk:
                raise changed(path) from None

        return self._write(name, if_version, copy)

    def put_bytes(
        self, name: str, data: bytes, *, if_version: str | None = None, content_type: str | None = None
    ) -> ObjectInfo:
        """Write bytes as a file."""
        del content_type
        return self._write(name, if_version, lambda temporary: temporary.write_bytes(data))

    def get_bytes(self, name: str) -> bytes:
        """A file's bytes."""
        return self._file(name).read_bytes()

    def get_file(self, name: str, path: Path, *, expected: Digest | None = None) -> None:
        """Copy a file out."""
        found = self._file(name)
        with atomic_path(path) as temporary, found.open("rb") as source:
            self._copy(source, temporary)
            try:
                digest_of_file(temporary, expected)
            except ChangedOnDisk:
                raise other_bytes(name, self.url) from None

    def delete(self, name: str, *, if_version: str | None = None) -> None:
        """Remove one file."""
        found = self._file(name)
        self._check_version(name, if_version)
        found.unlink(missing_ok=True)

    def _write(self, name: str, if_version: str | None, fill: Callable[[Path], object]) -> ObjectInfo:
        target = self._path(name)
        if os.path.lexists(target) and not _is_object(target):
            raise InputError(f"{target} is a link or a folder", hint="remove it, or choose another place")
        self._check_version(name, if_version)
        try:
            with atomic_path(target, exclusive=if_version == ABSENT) as temporary:
                fill(temporary)
                self._check_version(name, if_version)
        except FileExistsError:
            raise self._conflict(name) from None
        return self._info(name)

    def _copy(self, source: BinaryIO, target: Path) -> None:
        with target.open("wb") as outgoing:
            while chunk := source.read(CHUNK_BYTES):
                self._pace.take(len(chunk))
                outgoing.write(chunk)

    def _path(self, name: str) -> Path:
        # Only the folder is followed: an object is the file itself, never what a link of that name points to.
        path = self.root / name
        parent, root = path.parent.resolve(), self.root.resolve()
        if not name or path.name in {"", ".."} or not parent.is_relative_to(root):
            raise InputError(f"the name {name!r} leaves the folder {self.root}")
        return parent / path.name

    def _file(self, name: str) -> Path:
        path = self._path(name)
        if not _is_object(path):
            raise NotFound(f"there is no file {self.root / name}")
        return path

    def _check_version(self, name: str, if_version: str | None) -> None:
        if if_version is None:
            return
        path = self._path(name)
        if (_version(path) if os.path.lexists(path) else ABSENT) != if_version:
            raise self._conflict(name)

    def _conflict(self, name: str) -> VersionConflict:
        return VersionConflict(f"{self.root / name}: somebody else changed it meanwhile", hint=_AGAIN)

    def _info(self, name: str) -> ObjectInfo:
        path = self._path(name)
        try:
            while True:
                version, size, crc32c = _version(path), path.stat().st_size, crc32c_of_file(path)
                if _version(path) == version:  # it was not replaced while it was read
                    return ObjectInfo(name, size, crc32c, version)
        except OSError as error:
            raise Fault(f"cannot read {path}: {error.strerror}") from error


def _is_object(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _version(path: Path) -> str:
    found = path.lstat()
    return f"{found.st_mtime_ns}-{found.st_size}"


def _file_names(root: Path) -> Iterator[str]:
    for folder, _, names in os.walk(root):
        inside = Path(folder).relative_to(root).as_posix()
        for name in names:
            if not is_unfinished(name) and _is_object(Path(folder, name)):
                yield name if inside == "." else f"{inside}/{name}"
