"""Downloads: what is not here yet, by one listing; then that, each file under a temporary name until it is whole."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from cxr.errors import ChangedOnDisk, InputError, UsageError
from cxr.files import is_unfinished
from cxr.progress import Progress
from cxr.storage.checksums import digest_of_file
from cxr.storage.limits import Pace
from cxr.storage.retrying import RETRY_S, RetryingStore
from cxr.storage.store import Digest, ObjectInfo, Store
from cxr.storage.transfer.crew import Crew, CrewOf
from cxr.storage.transfer.files import Outcome, Tally, Task
from cxr.storage.transfer.plan_file import Action, Count, PlanFile, write_plan
from cxr.storage.transfer.workers import choose_workers

#: Seconds after which a temporary file has been left by a download that was killed.
_LEFT_PART_S: Final = 600.0


def plan_download(
    objects: Iterable[ObjectInfo], store: Store, folder: Path, *, path: Path, skipped: list[str]
) -> PlanFile:
    """Compare objects with the files of `folder` by size and checksum (a file of the right size is read), and write the
    plan. What ends with a slash stands for a folder in consoles and is left out; names that can be no files here are
    left out, too, and added to `skipped`.
    """
    comparison = _Comparison(folder, skipped)
    header = {"kind": "download", "source": store.url, "destination": str(folder)}
    return write_plan(path, header, comparison.actions(objects), iter(lambda: comparison.unchanged, None))


def fetch_plan(plan: PlanFile, store: Store, folder: Path, crew: CrewOf[Action]) -> Outcome:
    """Fetch what the plan says; a failed file does not stop the others and leaves nothing behind. Raises UsageError
    when `folder` is a file."""

    def fetch(action: Action) -> None:
        store.get_file(action.name, local_path(folder, action.name), expected=action.digest)

    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file", hint="name a folder")
    _remove_left_parts(folder)
    total = plan.totals.to_send
    tasks = (Task(action, action.name, action.digest.size) for action in plan.uploads())
    return crew(fetch).run(tasks, files=total.files, size=total.size)


def download_all(store: RetryingStore, folder: Path, *, on_progress: Progress) -> list[Path]:
    """Bring everything that is in a store to `folder`; the files' paths. Raises the first failure's error."""

    def tell(tally: Tally) -> None:
        on_progress(tally.files, tally.all_files, f"{tally.retries} retries" if tally.retries else "")

    with TemporaryDirectory(prefix="cxr-plan-") as scratch:
        plan = plan_download(store.list(), store, folder, path=Path(scratch) / "plan.jsonl", skipped=[])
        total = plan.totals.to_send

        def crew(action: Callable[[Action], object]) -> Crew[Action]:
            workers = choose_workers(total.files, total.size)
            retrier = store.retrier
            return Crew(action, workers=workers, retrier=retrier, pace=Pace(), retry_s=RETRY_S, on_tally=tell)

        outcome = fetch_plan(plan, store, folder, crew)
        outcome.require_complete("fetched")
        return [local_path(folder, action.name) for action in plan.uploads()]


def local_path(folder: Path, name: str) -> Path:
    """Where an object's file goes. Raises InputError for a name that is no plain relative path."""
    if not is_plain(name):
        raise InputError(f"the object's name {name!r} cannot be a file under {folder}")
    return folder.joinpath(*name.split("/"))


def is_plain(name: str) -> bool:
    """Whether a name is a relative path of plain parts: not empty, no `.` and `..`, nothing that only some systems
    take for a separator."""
    strange = "\0" in name or (os.sep == "\\" and "\\" in name)
    return not strange and all(part not in {"", ".", ".."} for part in name.split("/"))


def _remove_left_parts(folder: Path) -> None:
    """What a download that was killed has left; what is younger may belong to one that is at work."""
    for part in folder.rglob(".*.part"):
        with suppress(OSError):
            if is_unfinished(part.name) and time.time() - part.stat().st_mtime > _LEFT_PART_S:
                part.unlink()


@dataclass(slots=True)
class _Comparison:
    folder: Path
    skipped: list[str]
    unchanged: Count = field(default_factory=Count)

    def actions(self, objects: Iterable[ObjectInfo]) -> Iterator[Action]:
        for info in objects:
            if info.name.endswith("/") or not info.name:
                continue
            if not is_plain(info.name):
                self.skipped.append(info.name)
                continue
            path = local_path(self.folder, info.name)
            digest = Digest(info.size, info.crc32c, info.md5, info.sha256)
            if not path.exists():
                yield Action("new", info.name, info.version, digest)
            elif _is_here(path, digest):
                self.unchanged = self.unchanged.plus(info.size)
            else:
                yield Action("changed", info.name, info.version, digest)


def _is_here(path: Path, digest: Digest) -> bool:
    if not path.is_file() or path.stat().st_size != digest.size or not (digest.crc32c or digest.md5 or digest.sha256):
        return False
    try:
        digest_of_file(path, digest)
    except ChangedOnDisk:
        return False
    return True
