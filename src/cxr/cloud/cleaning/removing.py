"""Deleting what a plan names, one thing after the other; what fails does not stop the rest."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from cxr.cloud.cleaning.at_work import AtWork, read_at_work
from cxr.cloud.cleaning.leftovers import CleanPlan, Leftover, Sort
from cxr.cloud.connection import Connection
from cxr.cloud.jobs.journal import SUCCEEDED, Journal
from cxr.cloud.plans.launch import JobKind
from cxr.errors import CxrError, NotAllowed, NotFound, VersionConflict
from cxr.progress import Progress
from cxr.storage import ObjectInfo
from cxr.storage.login_hints import LOGIN_HINTS

#: Objects that are deleted at once.
WIDTH = 16
SLICE = 16 * WIDTH
#: How long an answer to the question what is at work is taken to hold.
FRESH_S = 60.0


@dataclass(frozen=True, slots=True)
class Removal:
    """What became of one leftover: `failures` is empty when nothing of it is left. `gone_before`: it was not there any
    more."""

    leftover: Leftover
    failures: tuple[str, ...] = ()
    gone_before: bool = False


def remove_all(connection: Connection, journal: Journal, plan: CleanPlan, *, on_progress: Progress) -> list[Removal]:
    """Delete what the plan dooms, in its order, and write to the journal what is gone as it goes. What a job uses that
    has started since the plan was made stays, and so does a manifest while images that it names do.

    Failures are in the answer. Raises NotAllowed when the credentials have run out (then all the rest would fail as
    well), and what the services' listings raise. Running it again with the same plan, or a new one, goes on where this
    was interrupted.
    """
    done: list[Removal] = []
    doomed = plan.doomed
    watch = _Watch(connection, journal)
    for number, leftover in enumerate(doomed):
        what = f"{leftover.sort} {leftover.short_name}"
        on_progress(number, len(doomed), what)
        failure = watch.reason(leftover) or _unfinished(connection, leftover, done)
        on_slice = partial(_tell_slice, on_progress, number, len(doomed), what)
        removal = Removal(leftover, (failure,)) if failure else _remove(connection, leftover, on_slice)
        if not removal.failures:
            _note(journal, leftover)
        done.append(removal)
    on_progress(len(doomed), len(doomed), "")
    return done


class _Watch:
    """What is at work, asked again when it was asked a while ago."""

    def __init__(self, connection: Connection, journal: Journal) -> None:
        self._connection, self._journal = connection, journal
        self._read_at, self._at_work = 0.0, AtWork((), "")

    def reason(self, leftover: Leftover) -> str:
        """Why a leftover must not be deleted now, "" when it may."""
        if not self._read_at or time.monotonic() - self._read_at > FRESH_S:
            self._at_work, self._read_at = read_at_work(self._connection, self._journal), time.monotonic()
        why = self._at_work.reason(leftover)
        return f"in use since the list was saved: {why}" if why else ""


def _unfinished(connection: Connection, leftover: Leftover, done: list[Removal]) -> str:
    # The next run finds the images by their manifest.
    images = f"{connection.base_url}/images"
    beside = leftover.sort is Sort.OBJECTS and leftover.name == connection.base_url
    left = beside and any(removal.failures for removal in done if removal.leftover.name == images)
    return "images that it names are still there" if left else ""


def _tell_slice(on_progress: Progress, number: int, total: int, what: str, objects: int) -> None:
    on_progress(number, total, f"{what}: {objects:,} objects")


def _remove(connection: Connection, leftover: Leftover, on_slice: Callable[[int], None]) -> Removal:
    if leftover.sort is Sort.OBJECTS:
        return _remove_objects(connection, leftover, on_slice)
    try:
        connection.provider.remove(connection, leftover)
    except NotFound:
        return Removal(leftover, gone_before=True)
    except NotAllowed as error:
        if error.hint in LOGIN_HINTS:
            raise
        return Removal(leftover, (error.message,))
    except CxrError as error:
        return Removal(leftover, (error.message,))
    return Removal(leftover)


def _remove_objects(connection: Connection, leftover: Leftover, on_slice: Callable[[int], None]) -> Removal:
    store = connection.open(leftover.name)

    def remove(info: ObjectInfo) -> tuple[str, bool]:
        try:
            store.delete(info.name, if_version=info.version)
        except NotFound:
            return "", True
        except VersionConflict as error:
            gone = store.stat(info.name) is None
            return ("", True) if gone else (f"{info.name}: {error.message}", False)
        except NotAllowed as error:
            if error.hint in LOGIN_HINTS:
                raise
            return f"{info.name}: {error.message}", False
        except CxrError as error:
            return f"{info.name}: {error.message}", False
        return "", False

    answers: list[tuple[str, bool]] = []
    with ThreadPoolExecutor(WIDTH) as pool:
        # Slice by slice, so that Ctrl-C ends the work and not only the collecting.
        for start in range(0, len(leftover.objects), SLICE):
            answers += pool.map(remove, leftover.objects[start : start + SLICE])
            on_slice(len(answers))
    failures = tuple(failure for failure, _ in answers if failure)
    return Removal(leftover, failures, bool(answers) and all(gone for _, gone in answers))


def _note(journal: Journal, leftover: Leftover) -> None:
    """What the journal's jobs have lost. A job whose result is gone is GONE: the same plan is then launched anew."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    whole_folder = leftover.sort is Sort.OBJECTS and not leftover.partial
    for job in journal.jobs():
        ours = (
            job.resource == leftover.name
            or (leftover.sort is Sort.MODEL and job.model == leftover.name)
            or (leftover.sort is Sort.DATASET and job.details.get("dataset") == leftover.name)
            or (leftover.sort is Sort.OBJECTS and job.id == leftover.run)
        )
        if not ours:
            continue
        changes: dict[str, str] = {"cleaned": now}
        result = {
            # A model of the service's, or artefacts in the bucket: the clouds differ.
            JobKind.AUTOML: leftover.sort is Sort.MODEL or (whole_folder and "/jobs/" in leftover.name),
            JobKind.CUSTOM: whole_folder and "/jobs/" in leftover.name,
            JobKind.TUNE: whole_folder and "/jobs/" in leftover.name,
            JobKind.BATCH: whole_folder and "/predictions/" in leftover.name,
            JobKind.IMPORT: leftover.sort is Sort.DATASET,
        }[job.kind]
        if result and job.state == SUCCEEDED:
            changes |= {"state": "GONE", "error": "it succeeded; its result was cleaned up"}
        journal.update(job, **changes)
