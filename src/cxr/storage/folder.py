"""A local folder as a store."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from cxr.errors import Fault, InputError
from cxr.files import atomic_path
from cxr.storage.checksums import crc32c_of_bytes, crc32c_of_file
from cxr.storage.store import ObjectInfo


class FolderStore:
    """Objects are files under `root`. The generation of a file is its modification time in nanoseconds."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def url(self) -> str:
        """The folder, as given."""
        return str(self.root)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All files whose name starts with `prefix`, in order of their names; each is read for its checksum."""
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root).as_posix()
            if path.is_file() and name.startswith(prefix):
                yield self._info(name, path)

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
        """Copy a file in; content type and metadata have no place in a folder and are dropped."""
        del content_type, metadata
        target = self._target(name, if_generation)
        with atomic_path(target) as temporary:
            shutil.copyfile(path, temporary)
            if crc32c is not None and crc32c_of_file(temporary) != crc32c:
                raise InputError(
                    f"{path} has changed since it was scanned", hint="scan the folder again: cxr data scan"
                )
        return self._info(name, target)

    def put_bytes(
        self, name: str, data: bytes, *, if_generation: int | None = None, content_type: str | None = None
    ) -> ObjectInfo:
        """Write bytes as a file."""
        del content_type
        target = self._target(name, if_generation)
        with atomic_path(target) as temporary:
            temporary.write_bytes(data)
        return ObjectInfo(name, len(data), crc32c_of_bytes(data), target.stat().st_mtime_ns)

    def get_bytes(self, name: str) -> bytes:
        """A file's bytes."""
        try:
            return (self.root / name).read_bytes()
        except FileNotFoundError:
            raise InputError(f"there is no file {self.root / name}") from None

    def get_file(self, name: str, path: Path) -> None:
        """Copy a file out."""
        if not (self.root / name).is_file():
            raise InputError(f"there is no file {self.root / name}")
        with atomic_path(path) as temporary:
            shutil.copyfile(self.root / name, temporary)

    def delete(self, name: str, *, if_generation: int | None = None) -> None:
        """Remove one file."""
        self._check_generation(name, if_generation)
        (self.root / name).unlink(missing_ok=True)

    def _target(self, name: str, if_generation: int | None) -> Path:
        target = (self.root / name).resolve()
        if not target.is_relative_to(self.root.resolve()):
            raise InputError(f"the name {name!r} leaves the folder {self.root}")
        self._check_generation(name, if_generation)
        return target

    def _check_generation(self, name: str, if_generation: int | None) -> None:
        if if_generation is None:
            return
        path = self.root / name
        found = path.stat().st_mtime_ns if path.exists() else 0
        if found != if_generation:
            raise Fault(f"{path} was changed by somebody else meanwhile", hint="run the command again")

    @staticmethod
    def _info(name: str, path: Path) -> ObjectInfo:
        stat = path.stat()
        return ObjectInfo(name, stat.st_size, crc32c_of_file(path), stat.st_mtime_ns)
