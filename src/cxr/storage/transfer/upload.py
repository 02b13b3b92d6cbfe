"""Uploads: what would be sent, by one listing; then exactly that, each object over the version that the plan saw."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

from cxr.errors import Fault, NotFound, VersionConflict
from cxr.storage.checksums import digest_of_file
from cxr.storage.store import ABSENT, Digest, ObjectInfo, Store
from cxr.storage.transfer.crew import CrewOf
from cxr.storage.transfer.files import LocalFile, Outcome, Task
from cxr.storage.transfer.plan_file import Action, Count, PlanFile, write_plan

#: Objects whose listing does not tell a checksum (S3 uploads in parts) are looked at, so many at a time.
_LOOKERS: Final = 16
_BATCH: Final = 256
_TICK_S: Final = 0.1


def plan_upload(
    files: Iterable[LocalFile],
    store: Store,
    prefix: str,
    *,
    path: Path,
    header: Mapping[str, Any] | None = None,
    empty: bool = False,
    on_objects: Callable[[int], None] = lambda count: None,
) -> PlanFile:
    """Compare `files` (in order of their names) with one listing of the store under `prefix`, and write the plan.

    Nothing is hashed or sent; both sides are read as streams. `empty` says that there is no bucket to be listed yet.
    Raises Fault when the listing is not in order.
    """
    comparison = _Comparison(store)
    pairs = side_by_side(iter(files), _in_order(iter(()) if empty else store.list(prefix), on_objects))
    whole = {"kind": "upload", "destination": store.url, "prefix": prefix, **(header or {})}
    return write_plan(path, whole, comparison.actions(pairs), iter(lambda: comparison.unchanged, None))


def send_plan(plan: PlanFile, store: Store, path_of: Callable[[str], Path], crew: CrewOf[Action]) -> Outcome:
    """Send what the plan says; `path_of` gives the file that stands for a name.

    An object that somebody else has put there meanwhile is left alone: if it has the same bytes all is well, otherwise
    it is a failure that says so.
    """

    def send(action: Action) -> None:
        file = LocalFile(action.name, path_of(action.name), action.digest)
        try:
            store.put_file(
                file.name,
                file.path,
                if_version=action.version,
                expected=file.digest,
                content_type=file.content_type,
            )
        except VersionConflict:
            found = store.stat(file.name)
            if found is None or not found.holds(digest_of_file(file.path, file.digest)):
                raise VersionConflict(
                    f"{file.name} was changed in {store.url} by somebody else since the plan was made",
                    hint="run the same command again: it makes a new plan",
                ) from None

    total = plan.totals.to_send
    tasks = (Task(action, action.name, action.digest.size) for action in plan.uploads())
    return crew(send).run(tasks, files=total.files, size=total.size)


def delete_orphans(plan: PlanFile, store: Store, crew: CrewOf[Action]) -> Outcome:
    """Delete the plan's orphans, each only in the version that the plan saw; one that is gone is gone."""

    def delete(action: Action) -> None:
        try:
            store.delete(action.name, if_version=action.version or None)
        except NotFound:
            return

    tasks = (Task(action, action.name, 0) for action in plan.orphans())
    return crew(delete).run(tasks, files=plan.totals.orphan.files, size=0)


@dataclass(slots=True)
class _Comparison:
    store: Store
    unchanged: Count = field(default_factory=Count)

    def actions(self, pairs: Iterator[tuple[LocalFile | None, ObjectInfo | None]]) -> Iterator[Action]:
        while batch := list(islice(pairs, _BATCH)):
            doubtful = [info.name for file, info in batch if file and info and info.holds(file.digest) is None]
            looked = look_at(self.store, doubtful) if doubtful else {}
            for file, info in batch:
                action = self._action(file, looked.get(info.name, info) if info else None)
                if action is not None:
                    yield action

    def _action(self, file: LocalFile | None, info: ObjectInfo | None) -> Action | None:
        if file is None:
            return _orphan(info) if info else None
        if info is None:
            return Action("new", file.name, ABSENT, file.digest)
        digest, same = file.digest, info.holds(file.digest)
        if same is None:  # the manifest has no checksum that the store has, too
            digest = digest_of_file(file.path, digest)
            same = info.holds(digest)
        if same:
            self.unchanged = self.unchanged.plus(digest.size)
            return None
        return Action("changed", file.name, info.version, digest)


def look_at(store: Store, names: list[str]) -> dict[str, ObjectInfo | None]:
    """`stat` of many objects at once. Nothing of it is waited for when it is interrupted."""
    found: dict[str, ObjectInfo | None] = {}
    errors: list[BaseException] = []
    left, done = deque(names), threading.Semaphore(0)

    def look() -> None:
        try:
            while left and not errors:
                name = left.popleft()
                found[name] = store.stat(name)
        except IndexError:  # another took the last
            pass
        except BaseException as error:  # noqa: BLE001  (raised again below)
            errors.append(error)
        finally:
            done.release()

    lookers = min(_LOOKERS, len(names))
    for _ in range(lookers):
        threading.Thread(target=look, name="look", daemon=True).start()
    for _ in range(lookers):
        while not done.acquire(timeout=_TICK_S):
            pass  # in pieces, so that Ctrl-C comes through
    if errors:
        raise errors[0]
    return found


def _orphan(info: ObjectInfo) -> Action:
    return Action("orphan", info.name, info.version, Digest(info.size, info.crc32c, info.md5, info.sha256))


def _in_order(listing: Iterator[ObjectInfo], on_objects: Callable[[int], None]) -> Iterator[ObjectInfo]:
    last = ""
    for count, info in enumerate(listing, 1):
        if info.name <= last and count > 1:
            raise Fault(f"the listing is not in order: {info.name!r} came after {last!r}")
        last = info.name
        if count % 1000 == 0:
            on_objects(count)
        yield info


def side_by_side(
    files: Iterator[LocalFile], stored: Iterator[ObjectInfo]
) -> Iterator[tuple[LocalFile | None, ObjectInfo | None]]:
    """Files and objects, both in order of their names, paired by name; None where one side has nothing.

    Code points and UTF-8 bytes sort alike, so names compare as they are.
    """
    file, info = next(files, None), next(stored, None)
    while file is not None or info is not None:
        if info is None or (file is not None and file.name < info.name):
            yield file, None
            file = next(files, None)
        elif file is None or info.name < file.name:
            yield None, info
            info = next(stored, None)
        else:
            yield file, info
            file, info = next(files, None), next(stored, None)
