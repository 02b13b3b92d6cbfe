"""Files and crews for transfer tests, and a store that fails as it is told (a real folder underneath)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from cxr.storage.checksums import digest_of_bytes
from cxr.storage.folder import FolderStore
from cxr.storage.limits import Limits
from cxr.storage.retrying import Patience, Retrier, RetryingStore
from cxr.storage.store import Digest, ObjectInfo
from cxr.storage.transfer.files import LocalFile
from cxr.storage.transfer.haul import Haul, HaulOptions

QUICK = Patience(retry_s=60.0, first_wait_s=0.001, longest_wait_s=0.005)
#: For what never succeeds; elsewhere a busy machine could be taken for a service that is away.
IMPATIENT = replace(QUICK, retry_s=2.0)


def local_files(folder: Path, count: int = 25) -> list[LocalFile]:
    """Files of different sizes, in order of their names."""
    made = []
    for number in range(count):
        path = folder / f"{number:03d}.jpeg"
        path.parent.mkdir(exist_ok=True)
        data = bytes([number % 256]) * (100 + number)
        path.write_bytes(data)
        made.append(LocalFile(f"images/{path.name}", path, digest_of_bytes(data)))
    return made


class TroubledStore(FolderStore):
    """A folder in which `trouble(call, name)` happens before each call; what it raises is what the call raises.

    With `after` the write is carried out first: the answer is what gets lost.
    """

    def __init__(self, root: Path, trouble: Callable[[str, str], None], *, after: bool = False) -> None:
        super().__init__(root, Limits())
        self.trouble, self.after = trouble, after
        self.calls: list[tuple[str, str]] = []

    def put_file(
        self,
        name: str,
        path: Path,
        *,
        if_version: str | None = None,
        expected: Digest | None = None,
        content_type: str | None = None,
    ) -> ObjectInfo:
        if not self.after:
            self._happen("put", name)
        info = super().put_file(name, path, if_version=if_version, expected=expected, content_type=content_type)
        if self.after:
            self._happen("put", name)
        return info

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[ObjectInfo]:
        for info in super().list(prefix, after=after):
            self._happen("list", info.name)
            yield info

    def get_file(self, name: str, path: Path, *, expected: Digest | None = None) -> None:
        self._happen("get", name)
        super().get_file(name, path, expected=expected)

    def delete(self, name: str, *, if_version: str | None = None) -> None:
        if not self.after:
            self._happen("delete", name)
        super().delete(name, if_version=if_version)
        if self.after:
            self._happen("delete", name)

    def _happen(self, call: str, name: str) -> None:
        self.calls.append((call, name))
        self.trouble(call, name)


def retrying(store: FolderStore, patience: Patience = QUICK) -> RetryingStore:
    """With waits of milliseconds."""
    return RetryingStore(store, Retrier(patience))


def quick_haul(workers: int = 4, patience: Patience = QUICK) -> Haul:
    """A haul whose retries wait milliseconds."""
    haul = Haul(HaulOptions(workers=workers))
    haul.retrier = Retrier(patience, haul.pace.cancelled)
    return haul
