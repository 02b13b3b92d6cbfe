"""The Job noun and its journal: every remote name is written here before the program waits for anything.

The journal is one JSON object a line, only ever appended to, under a file lock; a torn last line (a crash in the middle
of a write) is ignored. A job is the sum of its lines.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cxr.cloud.plans import JobKind, LaunchPlan
from cxr.errors import InputError, NotAllowed, UsageError
from cxr.settings import Target

#: States in which a job has ended and left nothing. GONE is ours: the service no longer knows the name.
WITHOUT_RESULT = frozenset({"FAILED", "CANCELLED", "EXPIRED", "GONE"})
SUCCEEDED = "SUCCEEDED"


@dataclass(frozen=True, slots=True)
class Job:
    """One thing running elsewhere. `resource` is the service's name for it ("" between intent and answer);
    `state` is the last one seen, in the service's words without its prefix.

    `created`, `started` and `ended` are ISO times in UTC; `usd_per_hour` is the price while it runs (all replicas
    together), 0 when it is not known. `attached` says that cxr did not launch it; `details` is the plan's request.
    """

    id: str
    kind: JobKind
    on: Target
    project: str
    region: str
    bucket: str
    prefix: str
    manifest_hash: str
    fingerprint: str
    resource: str = ""
    state: str = "INTENDED"
    output_url: str = ""
    model: str = ""
    created: str = ""
    started: str = ""
    ended: str = ""
    error: str = ""
    usd_per_hour: float = 0.0
    expected_usd: float = 0.0
    worst_case_usd: float = 0.0
    exported_to: str = ""
    attached: bool = False
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether the service will not change the state any more."""
        return self.state == SUCCEEDED or self.state in WITHOUT_RESULT

    @property
    def succeeded(self) -> bool:
        """Whether it ended with a result."""
        return self.state == SUCCEEDED


class Journal:
    """The jobs of this working folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def jobs(self) -> list[Job]:
        """All jobs, oldest first."""
        merged: dict[str, dict[str, Any]] = {}
        for line in self._lines():
            merged.setdefault(line["id"], {}).update(line)
        return [_job_from(values) for values in merged.values()]

    def find(self, job_id: str) -> Job:
        """The job of that id, or of the only id that starts so. Raises UsageError naming those there are."""
        jobs = self.jobs()
        matches = [job for job in jobs if job.id == job_id] or [job for job in jobs if job.id.startswith(job_id)]
        if len(matches) == 1:
            return matches[0]
        known = ", ".join(job.id for job in jobs) or "none yet"
        many = "is not the start of one job only" if matches else "is not in the journal"
        raise UsageError(f"job {job_id!r} {many} ({self.path})", hint=f"jobs: {known}")

    def get(self, job_id: str) -> Job | None:
        """The job of exactly that id, if there is one."""
        return next((job for job in self.jobs() if job.id == job_id), None)

    def intend(self, plan: LaunchPlan) -> Job:
        """Write down that a job is about to be launched."""
        where = plan.connection
        job = Job(
            id=plan.job_id,
            kind=plan.kind,
            on=where.on,
            project=where.project,
            region=where.region,
            bucket=where.bucket,
            prefix=where.prefix,
            manifest_hash=plan.manifest_hash,
            fingerprint=plan.fingerprint,
            created=_now(),
            usd_per_hour=plan.cost.price.usd_per_hour,
            expected_usd=plan.cost.expected_usd,
            worst_case_usd=plan.cost.worst_usd,
            details=dict(plan.request),
        )
        return self.add(job)

    def add(self, job: Job) -> Job:
        """Write down a job that is not in the journal yet."""
        self._append(asdict(job))
        return job

    def update(self, job: Job, **changes: Any) -> Job:
        """Append what has changed; nothing is written when nothing has."""
        changed = {key: value for key, value in changes.items() if getattr(job, key) != value}
        if changed:
            self._append({"id": job.id, "at": _now(), **changed})
        return replace(job, **changed)

    def _lines(self) -> Iterator[dict[str, Any]]:
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return
        *whole, last = text.split("\n")
        for number, line in enumerate([*whole, last], 1):
            try:
                entry = json.loads(line) if line.strip() else None
            except ValueError:
                if number > len(whole):
                    continue  # a torn last line: its writer died before anything depended on it
                raise InputError(f"{self.path}, line {number} is not JSON", hint="remove that line by hand") from None
            if entry is None:
                continue
            if not isinstance(entry, dict) or not isinstance(entry.get("id"), str):
                raise InputError(f"{self.path}, line {number} names no job", hint="remove that line by hand")
            yield entry

    def _append(self, entry: dict[str, Any]) -> None:
        with self._locked() as descriptor:
            size = os.fstat(descriptor).st_size
            if size > 0 and os.pread(descriptor, 1, size - 1) != b"\n":
                _mend_last_line(descriptor, size)
            os.write(descriptor, (json.dumps(entry) + "\n").encode())
            os.fsync(descriptor)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except PermissionError as error:
            raise NotAllowed(f"no permission to write the job journal {self.path}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)


def _mend_last_line(descriptor: int, size: int) -> None:
    # The last writer died inside its write. A line that is whole but for its newline is kept, a torn one dropped.
    text = os.pread(descriptor, size, 0)
    start = text.rfind(b"\n") + 1
    try:
        json.loads(text[start:])
    except ValueError:
        os.ftruncate(descriptor, start)
    else:
        os.write(descriptor, b"\n")


def _job_from(values: dict[str, Any]) -> Job:
    known = {one.name for one in fields(Job)}
    try:
        kept = {key: value for key, value in values.items() if key in known}
        return Job(**{**kept, "kind": JobKind(values["kind"]), "on": Target(values["on"])})
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the journal's entry for {values.get('id')} is incomplete: {error}") from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
