"""What is at work now, and what it uses: nothing of that is deleted.

Asked of the service whatever the labels, for anybody's job may use a model or a dataset of ours; and of the journal and
its locks, for a job that is just being launched is not on the service yet, while its inputs are in the bucket.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cxr.cloud.cleaning.leftovers import JOB_SORTS, Leftover, Sort
from cxr.cloud.cleaning.places import Places, Where, is_at, is_here, places_of, same_thing, short_of
from cxr.cloud.connection import Connection
from cxr.cloud.jobs.journal import Job, Journal
from cxr.cloud.jobs.seen import ENDED, MANIFEST_LABEL, RUN_LABEL, Seen
from cxr.cloud.plans.launch import JobKind, manifest_label
from cxr.errors import NotFound

#: How long a launch that got no answer counts as one that may still be made.
LAUNCH_PATIENCE = timedelta(days=1)
_NOUNS = "|".join((*JobKind, "image"))
#: Names of runs: of jobs, and of the builds of images.
RUN = re.compile(rf"({_NOUNS})-[0-9a-f]{{10}}")
_FILLING = frozenset({JobKind.AUTOML, JobKind.IMPORT})


@dataclass(frozen=True, slots=True)
class Worker:
    """A job that has not ended, or (`launching`) is not on the service yet: `because` says so, with what to do about
    it. Names are the service's; `folder` is where it writes; "" is for what it does not use, or what is not known. What
    is being launched names no dataset: `manifest` is the label of the one it will use. `kind` is None of a build."""

    because: str
    kind: JobKind | None
    where: Where = Where.UNKNOWN
    run: str = ""
    resource: str = ""
    dataset: str = ""
    model: str = ""
    folder: str = ""
    manifest: str = ""
    launching: bool = False

    def uses(self, one: Leftover, base_url: str) -> bool:
        """Whether it needs a leftover of the place `base_url`."""
        if one.sort in JOB_SORTS:
            return same_thing(self.resource, one.name)
        if one.sort is Sort.MODEL:
            unnamed = self.launching and self.kind is JobKind.BATCH and not self.model
            own = bool(one.run) and one.run == self.run
            return own or unnamed or same_thing(self.model, one.name)
        if one.sort is Sort.DATASET:
            filling = self.launching and self.kind in _FILLING
            known = self.manifest and one.manifest
            return same_thing(self.dataset, one.name) or (filling and (not known or self.manifest == one.manifest))
        if one.sort is Sort.OBJECTS:
            return self._uses_folder(one, base_url)
        return False

    def _uses_folder(self, one: Leftover, base_url: str) -> bool:
        if one.name == f"{base_url}/import":
            fills = self.kind is JobKind.IMPORT or (self.launching and self.kind is JobKind.AUTOML)
            return fills and self.where is not Where.ELSEWHERE
        if one.name in {f"{base_url}/images", base_url}:
            return self.kind is not None and self.where is not Where.ELSEWHERE
        return bool(one.run and one.run == self.run) or f"{self.folder}/".startswith(f"{one.name}/")


@dataclass(frozen=True, slots=True)
class AtWork:
    """Everything that is at work in one project and region."""

    workers: tuple[Worker, ...]
    base_url: str

    def reason(self, one: Leftover) -> str:
        """Why a leftover has to stay now; "" when nothing uses it."""
        return next((worker.because for worker in self.workers if worker.uses(one, self.base_url)), "")


def read_at_work(connection: Connection, journal: Journal) -> AtWork:
    """Ask the service and the journal. Raises what the services' listings raise."""
    jobs = journal.jobs()
    here = [job for job in jobs if is_here(job, connection)]
    places = places_of(connection, here)
    workers = [
        *_on_service(connection, here, places),
        *_imports(connection, here),
        *_launches(connection, jobs, held_locks(journal)),
    ]
    return AtWork(tuple(workers), connection.base_url)


def held_locks(journal: Journal) -> set[str]:
    """The runs that a process of this working folder is launching at this moment: it holds their locks."""
    folder = journal.path.parent / "locks"
    names = [path for path in folder.iterdir() if RUN.fullmatch(path.name)] if folder.is_dir() else []
    held = set()
    for path in names:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            held.add(path.name)
        finally:
            os.close(descriptor)
    return held


def _on_service(connection: Connection, journal: Sequence[Job], places: Places) -> Iterator[Worker]:
    for kind, seen in connection.provider.unfinished_jobs(connection):
        yield _worker(connection, kind, seen, journal, places)


def _worker(connection: Connection, kind: JobKind, seen: Seen, journal: Sequence[Job], places: Places) -> Worker:
    known = next((job for job in journal if same_thing(job.resource, seen.resource)), None)
    run, manifest = seen.labels.get(RUN_LABEL, ""), seen.labels.get(MANIFEST_LABEL, "")
    where = places.of(seen.labels, seen.output_url)
    if not run and not manifest:
        ours = seen.output_url.startswith(f"{connection.base_url}/") or (known and is_at(known, connection))
        where = Where.HERE if ours else Where.ELSEWHERE
    name = known.id if known else run or short_of(seen.resource)
    end = f"cxr cloud cancel {name}" if known or run else f"cxr cloud attach {seen.resource}, then cxr cloud cancel"
    return Worker(
        f"{name} is {seen.state}; end it first: {end}",
        kind,
        where,
        run=run or (known.id if known else ""),
        resource=seen.resource,
        dataset=seen.dataset,
        model=str(seen.details.get("model", "")) if kind is JobKind.BATCH else "",
        folder=seen.output_url,
    )


def _imports(connection: Connection, journal: Sequence[Job]) -> Iterator[Worker]:
    """Imports carry no labels: only the journal knows their names."""
    for job in journal:
        if job.kind is not JobKind.IMPORT or not job.resource or job.finished:
            continue
        try:
            seen = connection.provider.look(connection, job.kind, job.resource)
        except NotFound:
            continue
        if seen.state not in ENDED:
            where = Where.HERE if is_at(job, connection) else Where.ELSEWHERE
            because = f"{job.id} is {seen.state}; end it first: cxr cloud cancel {job.id}"
            yield Worker(because, job.kind, where, job.id, job.resource, seen.dataset)


def _launches(connection: Connection, journal: Sequence[Job], held: set[str]) -> Iterable[Worker]:
    known = {job.id: job for job in journal}
    for job in journal:
        waiting = not job.resource and not job.finished
        if is_here(job, connection) and waiting and job.id not in held and _is_young(job):
            filling = job.kind is JobKind.IMPORT
            again = "run cxr cloud dataset" if filling else "launch it again, or cxr cloud attach --all"
            because = f"the launch of {job.id} was not answered: {again}; it no longer counts after a day"
            yield _launching(connection, job.id, job, because)
    for run in sorted(held):
        held_job = known.get(run)
        if held_job is None or is_here(held_job, connection):
            yield _launching(connection, run, held_job, f"{run} is being launched: wait for that")


def _launching(connection: Connection, run: str, job: Job | None, because: str) -> Worker:
    noun = run.rpartition("-")[0]
    kind = JobKind(noun) if noun in set(JobKind) else None
    if job is None:
        return Worker(because, kind, run=run, launching=True)
    return Worker(
        because,
        kind,
        Where.HERE if is_at(job, connection) else Where.ELSEWHERE,
        run,
        model=str(job.details.get("model", "")) if kind is JobKind.BATCH else "",
        manifest=manifest_label(job.manifest_hash),
        launching=True,
    )


def _is_young(job: Job) -> bool:
    try:
        made = datetime.fromisoformat(job.created)
    except ValueError:
        return True
    return datetime.now(UTC) - (made if made.tzinfo else made.replace(tzinfo=UTC)) < LAUNCH_PATIENCE
