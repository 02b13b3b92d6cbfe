"""An upload is computed first and carried out second: the dry run is simply the first half."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from cxr.errors import CxrError, Fault
from cxr.storage.store import Store


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file to be stored: object name, path on disk, size in bytes, crc32c (base64) and sha256 (hex) as scanned."""

    name: str
    path: Path
    size: int
    crc32c: str
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Upload:
    """One file to send; `replaces` is the generation that it goes over, 0 for a new object."""

    file: LocalFile
    replaces: int


@dataclass(frozen=True, slots=True)
class UploadPlan:
    """What an upload would do at `destination`: send `uploads`, leave `unchanged` files, and `orphans` are objects
    that no file stands for (reported, never deleted)."""

    destination: str
    uploads: tuple[Upload, ...]
    unchanged: int
    unchanged_bytes: int
    orphans: tuple[str, ...]

    @property
    def new(self) -> int:
        """Files whose name is not in the bucket yet."""
        return sum(upload.replaces == 0 for upload in self.uploads)

    @property
    def changed(self) -> int:
        """Files that replace an object with other bytes."""
        return len(self.uploads) - self.new

    @property
    def bytes_to_send(self) -> int:
        """The sizes of all uploads, added up."""
        return sum(upload.file.size for upload in self.uploads)


def plan_upload(files: Iterable[LocalFile], store: Store, prefix: str) -> UploadPlan:
    """Compare files with one listing of the store under `prefix`, by size and crc32c. Nothing is hashed or sent."""
    stored = {info.name: info for info in store.list(prefix)}
    uploads: list[Upload] = []
    unchanged = unchanged_bytes = 0
    wanted = set()
    for file in files:
        wanted.add(file.name)
        found = stored.get(file.name)
        if found and found.size == file.size and found.crc32c == file.crc32c:
            unchanged += 1
            unchanged_bytes += file.size
        else:
            uploads.append(Upload(file, (found.generation or 0) if found else 0))
    orphans = tuple(sorted(set(stored) - wanted))
    return UploadPlan(store.url, tuple(uploads), unchanged, unchanged_bytes, orphans)


def execute_upload(
    plan: UploadPlan, store: Store, *, workers: int, on_progress: Callable[[int, int, str], None]
) -> None:
    """Send what the plan says, `workers` files at a time, each conditional on the generation that the plan saw.

    A failed file does not stop the others; at the end an error of the first failure's kind says how many are missing.
    On Ctrl-C the files in flight are finished and the rest is left for the next run.
    """
    done = 0
    failures: list[tuple[str, CxrError]] = []
    remaining = iter(plan.uploads)
    with ThreadPoolExecutor(workers, thread_name_prefix="upload") as pool:
        running: dict[Future[None], str] = {}
        while True:
            for upload in islice(remaining, 2 * workers - len(running)):
                running[pool.submit(_send, store, upload)] = upload.file.name
            if not running:
                break
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                name = running.pop(future)
                error = future.exception()
                if isinstance(error, CxrError):
                    failures.append((name, error))
                elif error is not None:
                    raise error
                done += 1
            on_progress(done, len(plan.uploads), f"{len(failures)} failed" if failures else "")
    _raise_failures(failures, len(plan.uploads))


def download_all(
    store: Store, prefix: str, folder: Path, *, workers: int, on_progress: Callable[[int, int, str], None]
) -> list[Path]:
    """Download every object under `prefix` to `folder`, names relative to the prefix; returns the files' paths."""
    # Consoles make empty objects whose name ends with a slash, to show a folder.
    infos = [info for info in store.list(prefix) if not info.name.endswith("/") and info.name]
    targets = [folder / info.name.removeprefix(prefix).lstrip("/") for info in infos]
    with ThreadPoolExecutor(workers, thread_name_prefix="download") as pool:
        futures = [pool.submit(store.get_file, info.name, path) for info, path in zip(infos, targets, strict=True)]
        for done, future in enumerate(futures, 1):
            future.result()
            on_progress(done, len(futures), "")
    return targets


def _send(store: Store, upload: Upload) -> None:
    file = upload.file
    if not file.path.is_file():
        raise Fault(f"{file.path} is gone since it was scanned", hint="scan the folder again: cxr data scan")
    store.put_file(
        file.name,
        file.path,
        if_generation=upload.replaces,
        crc32c=file.crc32c,
        content_type=mimetypes.guess_type(file.name)[0] or "application/octet-stream",
        metadata={"sha256": file.sha256} if file.sha256 else None,
    )


def _raise_failures(failures: list[tuple[str, CxrError]], total: int) -> None:
    if not failures:
        return
    name, error = failures[0]
    if len(failures) == 1:
        raise error
    raise type(error)(
        f"{len(failures)} of {total} files were not sent, the first is {name}: {error.message}",
        hint=error.hint or "run the same command again: it sends only what is missing",
    )
