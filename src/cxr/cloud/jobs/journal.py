"""The Job noun and its journal: every remote name is written here before the program waits for anything.

The journal is one JSON object a line, only ever appended to, under a file lock; a torn last line (a crash in the middle
of a write) is ignored. A job is the sum of its lines; one whose lines do not make a whole job is passed over, told as a
problem, and kept. The file is its owner's alone and never holds a credential.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cxr.cloud.plans.launch import JobKind, LaunchPlan
from cxr.documents import parse_json
from cxr.errors import InputError, NotAllowed, UsageError
from cxr.files import private_folder
from cxr.settings import Target

#: States in which a job has ended and left nothing. GONE is ours: the service no longer knows the name.
WITHOUT_RESULT = frozenset({"FAILED", "CANCELLED", "EXPIRED", "GONE"})
SUCCEEDED = "SUCCEEDED"
#: Resource names, errors and the bucket's name are nobody else's business on a shared machine.
PRIVATE = 0o600
#: Ids become names of files and labels of clouds, and stand in commands: the plan's own, and resources' last parts.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
#: A field's annotation -> what its values in the journal are.
_TYPES = {"str": str, "float": int | float, "bool": bool, "dict[str, Any]": dict}


@dataclass(frozen=True, slots=True)
class Job:
    """One thing running elsewhere. `resource` is the service's name for it ("" between intent and answer);
    `state` is the last one seen, in the service's words without its prefix.

    `created`, `started` and `ended` are ISO times in UTC; `usd_per_hour` is the price while it runs (all replicas
    together), 0 when it is not known. `attached` says that it came into this journal by name and not by a launch;
    `details` is the plan's request. `progress` is what the service tells of the work (trials, images, node hours), by
    the keys of `cxr.cloud.jobs.progress`; `cleaned` is when `cxr cloud clean` deleted it.
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
    progress: dict[str, Any] = field(default_factory=dict)
    cleaned: str = ""

    @property
    def finished(self) -> bool:
        """Whether the service will not change the state any more."""
        return _ends(self.state)

    @property
    def succeeded(self) -> bool:
        """Whether it ended with a result."""
        return self.state == SUCCEEDED


_FIELDS = {one.name: one for one in fields(Job)}
_NEEDED = [one.name for one in _FIELDS.values() if one.default is MISSING and one.default_factory is MISSING]


class Journal:
    """The jobs of this working folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def jobs(self) -> list[Job]:
        """All whole jobs, oldest first."""
        return self._read()[0]

    @property
    def problems(self) -> list[str]:
        """The jobs that are passed over because their lines do not make a whole job: which, where, and why."""
        return self._read()[1]

    def find(self, job_id: str) -> Job:
        """The job of that id, or of the only id that begins so, by its whole kind at least (`custom`, `tune-1a2b`).
        Raises UsageError naming those there are."""
        jobs = self.jobs()
        begun = [job for job in jobs if job.id.startswith(job_id)]
        matches = [job for job in begun if job.id == job_id] or begun
        long_enough = _is_beginning(job_id) or any(job.id == job_id for job in begun)
        if len(matches) == 1 and long_enough:
            return matches[0]
        known = ", ".join(job.id for job in jobs) or "none yet"
        many = "is not the start of one job only" if matches else "is not in the journal"
        many = many if long_enough or not matches else "is too short to name a job"
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
        """Append what differs from the journal now, and give the job as the journal then has it.

        Nothing is written when nothing differs, and an answer that another process has overtaken (RUNNING, of a job
        that has since been seen to end) changes nothing. A new `resource` is a new start of the same job.
        """
        with self._locked() as descriptor:
            values = asdict(job)
            for line in self._lines():
                if line["id"] == job.id:
                    values.update(line)
            known = _job_from(values)
            restarted = changes.get("resource", known.resource) != known.resource
            if known.finished and not restarted and "state" in changes and not _ends(changes["state"]):
                return known
            changed = {key: value for key, value in changes.items() if getattr(known, key) != value}
            if changed:
                _write(descriptor, {"id": job.id, "at": _now(), **changed})
            return _job_from({**values, **changed})

    def _read(self) -> tuple[list[Job], list[str]]:
        merged: dict[str, dict[str, Any]] = {}
        first: dict[str, int] = {}
        for number, line in self._numbered_lines():
            merged.setdefault(line["id"], {}).update(line)
            first.setdefault(line["id"], number)
        jobs: list[Job] = []
        problems: list[str] = []
        for job_id, values in merged.items():
            try:
                jobs.append(_job_from(values))
            except InputError as error:
                problems.append(f"{self.path}, line {first[job_id]}: {error.message}; it is passed over")
        return jobs, problems

    def _lines(self) -> Iterator[dict[str, Any]]:
        return (line for _, line in self._numbered_lines())

    def _numbered_lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return
        except PermissionError as error:
            raise NotAllowed(f"no permission to read the job journal {self.path}") from error
        *whole, last = text.split("\n")
        for number, line in enumerate([*whole, last], 1):
            try:
                entry = parse_json(line) if line.strip() else None
            except ValueError:
                if number > len(whole):
                    continue  # a torn last line: its writer died before anything depended on it
                raise InputError(f"{self.path}, line {number} is not JSON", hint="remove that line by hand") from None
            if entry is None:
                continue
            if not isinstance(entry, dict) or not isinstance(entry.get("id"), str):
                raise InputError(f"{self.path}, line {number} names no job", hint="remove that line by hand")
            yield number, entry

    def _append(self, entry: dict[str, Any]) -> None:
        with self._locked() as descriptor:
            _write(descriptor, entry)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        try:
            private_folder(self.path.parent)
            # A link would lead what is written into any file of the user: none is followed.
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, PRIVATE)
        except PermissionError as error:
            raise NotAllowed(f"no permission to write the job journal {self.path}") from error
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise InputError(f"the job journal {self.path} is a link", hint="put the file itself there") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)


def _write(descriptor: int, entry: dict[str, Any]) -> None:
    size = os.fstat(descriptor).st_size
    if size > 0 and os.pread(descriptor, 1, size - 1) != b"\n":
        _mend_last_line(descriptor, size)
    left = (json.dumps(entry) + "\n").encode()
    while left:  # a nearly full disk takes a part of a line; the rest then fails, and the next writer mends it
        left = left[os.write(descriptor, left) :]
    os.fsync(descriptor)


def _is_beginning(job_id: str) -> bool:
    return job_id.partition("-")[0] in set(JobKind)


def _ends(state: str) -> bool:
    return state == SUCCEEDED or state in WITHOUT_RESULT


def _mend_last_line(descriptor: int, size: int) -> None:
    # The last writer died inside its write. A line that is whole but for its newline is kept, a torn one dropped.
    text = os.pread(descriptor, size, 0)
    start = text.rfind(b"\n") + 1
    try:
        parse_json(text[start:])
    except ValueError:
        os.ftruncate(descriptor, start)
    else:
        os.write(descriptor, b"\n")


def _job_from(values: dict[str, Any]) -> Job:
    told = f"the entry of the job {values.get('id')!r}"
    kept = {key: value for key, value in values.items() if key in _FIELDS}
    missing = [name for name in _NEEDED if name not in kept]
    if missing:
        raise InputError(f"{told} is incomplete, {', '.join(missing)} missing")
    if not _ID.fullmatch(kept["id"]):
        raise InputError(f"{told} has an id that is none")
    wrong = [name for name, value in kept.items() if not isinstance(value, _TYPES.get(str(_FIELDS[name].type), object))]
    if wrong:
        raise InputError(f"{told} is damaged, {wrong[0]} is {kept[wrong[0]]!r}")
    try:
        return Job(**{**kept, "kind": JobKind(values["kind"]), "on": Target(values["on"])})
    except ValueError as error:
        raise InputError(f"{told} is damaged, {error}") from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
