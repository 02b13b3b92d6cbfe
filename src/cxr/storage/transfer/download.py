"""Downloads: what is not here yet, by one listing; then that, each file under a temporary name until it is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from cxr.errors import Fault, InputError
from cxr.storage.checksums import crc32c_of_file
from cxr.storage.limits import Pace
from cxr.storage.retrying import RETRY_S, RetryingStore
from cxr.storage.store import Digest, ObjectInfo, Store
from cxr.storage.transfer.crew import Crew, CrewOf
from cxr.storage.transfer.files import Outcome, Tally, Task
from cxr.storage.transfer.plan_file import Action, Count, PlanFile, write_plan
from cxr.storage.transfer.workers import choose_workers


def plan_download(objects: Iterable[ObjectInfo], store: Store, folder: Path, *, path: Path) -> PlanFile:
    """Compare objects with the files of `folder` by size and crc32c (a file of the right size is read), and write the
    plan. What ends with a slash stands for a folder in consoles and is left out.

    Raises InputError for a name that would leave the folder.
    """
    comparison = _Comparison(folder)
    header = {"kind": "download", "source": store.url, "destination": str(folder)}
    return write_plan(path, header, comparison.actions(objects), iter(lambda: comparison.unchanged, None))


def fetch_plan(plan: PlanFile, store: Store, folder: Path, crew: CrewOf[Action]) -> Outcome:
    """Fetch what the plan says; a failed file does not stop the others and leaves nothing behind."""

    def fetch(action: Action) -> None:
        target = local_path(folder, action.name)
        store.get_file(action.name, target)
        wanted = action.digest
        if wanted.crc32c and crc32c_of_file(target) != wanted.crc32c:
            target.unlink(missing_ok=True)
            raise Fault(
                f"{action.name} has other bytes in {store.url} than when it was looked at",
                hint="run the same command again",
            )

    total = plan.totals.to_send
    tasks = (Task(action, action.name, action.digest.size) for action in plan.uploads())
    return crew(fetch).run(tasks, files=total.files, size=total.size)


def download_all(store: RetryingStore, folder: Path, *, on_progress: Callable[[int, int, str], None]) -> list[Path]:
    """Bring everything that is in a store to `folder`; the files' paths. Raises the first failure's error."""

    def tell(tally: Tally) -> None:
        on_progress(tally.files, tally.all_files, f"{tally.retries} retries" if tally.retries else "")

    with TemporaryDirectory(prefix="cxr-plan-") as scratch:
        plan = plan_download(store.list(), store, folder, path=Path(scratch) / "plan.jsonl")
        total = plan.totals.to_send

        def crew(action: Callable[[Action], object]) -> Crew[Action]:
            workers = choose_workers(total.files, total.size)
            retrier = store.retrier
            return Crew(action, workers=workers, retrier=retrier, pace=Pace(), retry_s=RETRY_S, on_tally=tell)

        outcome = fetch_plan(plan, store, folder, crew)
        outcome.require_complete("fetched")
        return [local_path(folder, action.name) for action in plan.uploads()]


def local_path(folder: Path, name: str) -> Path:
    """Where an object's file goes. Raises InputError for a name that would leave the folder."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\0" in name or "\\" in name:
        raise InputError(f"the object's name {name!r} cannot be a file under {folder}")
    return folder.joinpath(*parts)


@dataclass(slots=True)
class _Comparison:
    folder: Path
    unchanged: Count = field(default_factory=Count)

    def actions(self, objects: Iterable[ObjectInfo]) -> Iterator[Action]:
        for info in objects:
            if not info.name or info.name.endswith("/"):
                continue
            path = local_path(self.folder, info.name)
            digest = Digest(info.size, info.crc32c, info.md5, info.sha256)
            if not path.exists():
                yield Action("new", info.name, info.version, digest)
            elif path.stat().st_size == info.size and info.crc32c and crc32c_of_file(path) == info.crc32c:
                self.unchanged = self.unchanged.plus(info.size)
            else:
                yield Action("changed", info.name, info.version, digest)
