"""Jobs that were started elsewhere, taken into the journal by their name or by their label."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from cxr.cloud.connection import Connection
from cxr.cloud.journal import Job, Journal
from cxr.cloud.offers import Hardware, ModelType
from cxr.cloud.plans import JobKind, manifest_label
from cxr.cloud.prices import PriceTable, price_table
from cxr.cloud.vertex.container import MAXIMUM_TIMEOUT_HOURS
from cxr.cloud.vertex.job_facts import DEFAULT_DISK_GB
from cxr.cloud.vertex.job_kinds import KIND_OF, SERVICES, Seen
from cxr.cloud.vertex.jobs import changes_of
from cxr.errors import CxrError, RulerMismatch, UsageError
from cxr.storage.google_errors import google_errors

RUN_LABEL, MANIFEST_LABEL = "cxr-run", "cxr-manifest"
_NAME = re.compile(r"(?:projects/([^/]+)/locations/([^/]+)/)?(?:.+/)?([A-Za-z]+)/([^/]+)")
_AUTOML_IMAGE = "automl_image_classification"


@dataclass(frozen=True, slots=True)
class JobName:
    """A resource name taken apart. Project and region are "" when only an id was given."""

    resource: str
    kind: JobKind
    project: str = ""
    region: str = ""


@dataclass(frozen=True, slots=True)
class Attached:
    """A job of the journal, and whether this call brought it there."""

    job: Job
    fresh: bool


def parse_job_name(text: str, kind: str | None) -> JobName:
    """A full resource name, or a bare id with its kind. Raises UsageError saying which is missing or wrong."""
    text = text.strip().strip("/")
    if "/" not in text:
        if not re.fullmatch(r"[\w-]+", text) or kind is None:
            raise UsageError(
                f"{text!r} is not a resource name, and its kind is not said",
                hint=f"projects/P/locations/L/customJobs/ID, or an id with --kind {'|'.join(_named_kinds())}",
            )
        return JobName(text, _kind(kind))
    found = re.search(r"projects/.*", text)
    match = _NAME.fullmatch(found.group()) if found else None
    if match is None or match.group(3) not in KIND_OF or not match.group(1):
        raise UsageError(
            f"{text!r} is not the name of a job",
            hint=f"projects/P/locations/L/COLLECTION/ID, COLLECTION one of {', '.join(KIND_OF)}",
        )
    if kind is not None and _kind(kind) is not KIND_OF[match.group(3)]:
        raise UsageError(f"{text} is no {kind} job but a {KIND_OF[match.group(3)]} job", hint="leave --kind out")
    assert found is not None
    return JobName(found.group(), KIND_OF[match.group(3)], match.group(1), match.group(2))


def attach(
    connection: Connection,
    journal: Journal,
    name: JobName,
    *,
    manifest_hash: str = "",
    claimed: bool = False,
    prices: PriceTable | None = None,
) -> Attached:
    """Ask the service for the job and write it down. One that the journal has already stays what it is.

    `manifest_hash` is that of a manifest at hand: the labels carry only its beginning. `claimed`: the user says that
    the job is of that manifest. Raises NotFound when there is
    no such job, UsageError when it is not of a sort that cxr follows, RulerMismatch when it is of another manifest.
    """
    service = SERVICES[name.kind]
    resource = name.resource
    if not name.project:
        resource = f"{connection.parent}/{service.collection}/{name.resource}"
    try:
        with google_errors(f"ask for {resource}"):
            seen = service.get(connection, resource)
    except ValueError as error:
        raise UsageError(str(error), hint="cxr follows the import of a dataset, no other operation") from None
    return _take(connection, journal, name.kind, seen, manifest_hash, prices or price_table(), claimed=claimed)


def attach_all(
    connection: Connection, journal: Journal, *, manifest_hash: str = "", prices: PriceTable | None = None
) -> list[Attached]:
    """Every job of the project and region that carries cxr's label and is not in the journal: what was launched from
    other folders, and what a crash between creation and journal left, whose entry is then made whole."""
    found: list[Attached] = []
    prices = prices or price_table()
    for kind, service in SERVICES.items():
        with google_errors(f"list the {kind} jobs"):
            listed = service.list(connection, f"labels.{RUN_LABEL}:*")
        for seen in sorted(listed, key=lambda one: one.created):
            if _is_part(kind, seen):
                continue
            taken = _take(connection, journal, kind, seen, manifest_hash, prices, claimed=False)
            if taken.fresh:
                found.append(taken)
    return found


def unanswered_jobs(journal: Journal) -> list[Job]:
    """The jobs that were about to be launched when the program ended, and that the service lists by their label."""
    return [job for job in journal.jobs() if not job.resource and not job.finished and job.kind is not JobKind.IMPORT]


def _take(
    connection: Connection,
    journal: Journal,
    kind: JobKind,
    seen: Seen,
    given: str,
    prices: PriceTable,
    *,
    claimed: bool,
) -> Attached:
    known = journal.jobs()
    for job in known:
        if job.resource and _same(job.resource, seen.resource):
            return Attached(_known(journal, job, seen, given), fresh=False)
    _check_task(kind, seen)
    run = seen.labels.get(RUN_LABEL, "")
    lost = next((job for job in known if job.id == run and not job.resource and job.kind is kind), None)
    if lost is not None:
        changes = {**changes_of(lost, seen), "resource": seen.resource, "output_url": seen.output_url}
        return Attached(journal.update(lost, **changes), fresh=True)
    label = seen.labels.get(MANIFEST_LABEL, "")
    if claimed and given and label and manifest_label(given) != label:
        raise RulerMismatch(
            f"{seen.resource} was trained on the manifest {label[:16]}…, not on {given[:16]}…",
            hint="leave --manifest out, or name the one it was trained on",
        )
    taken = {job.id for job in known}
    number = seen.resource.rsplit("/", 1)[-1]
    job_id = run if run and run not in taken else f"{kind}-{number}"
    where = _place_of(connection, seen)
    usd_per_hour = hourly_price(prices, kind, seen.details)
    job = Job(
        id=job_id,
        kind=kind,
        on=where.on,
        project=where.project,
        region=where.region,
        bucket=where.bucket,
        prefix=where.prefix,
        manifest_hash=_manifest_hash(where, seen, label, given, known) if label else given if claimed else "",
        fingerprint="",
        resource=seen.resource,
        created=seen.created,
        output_url=seen.output_url,
        usd_per_hour=usd_per_hour,
        worst_case_usd=usd_per_hour * worst_hours(kind, seen.details),
        attached=True,
        details=dict(seen.details),
    )
    job = replace(job, **{key: value for key, value in changes_of(job, seen).items() if value})
    return Attached(journal.add(job), fresh=True)


def _known(journal: Journal, job: Job, seen: Seen, given: str) -> Job:
    changes = {} if job.finished else changes_of(job, seen)
    if job.attached and given != job.manifest_hash and manifest_label(given) == job.manifest_hash:
        changes["manifest_hash"] = given  # until now only its beginning was known
    return journal.update(job, **changes)


def _check_task(kind: JobKind, seen: Seen) -> None:
    task = str(seen.details.get("task", ""))
    if kind is not JobKind.AUTOML or task.startswith(_AUTOML_IMAGE):
        return
    inner = seen.details.get("custom_job")
    raise UsageError(
        f"{seen.resource} is a training pipeline of another task ({task})",
        hint=f"cxr cloud attach {inner}" if inner else "cxr follows AutoML image classification",
    )


def _is_part(kind: JobKind, seen: Seen) -> bool:
    """Whether this is what a tuning job runs as one of its trials, under the tuning job's labels."""
    run = seen.labels.get(RUN_LABEL, "")
    return kind is JobKind.CUSTOM and run.startswith(f"{JobKind.TUNE}-")


def _place_of(connection: Connection, seen: Seen) -> Connection:
    """Project and region by the resource's name; bucket and prefix by where a job of ours writes."""
    _, project, _, region, *_ = seen.resource.split("/")
    # The service writes the project's number into names; whoever named the project knows it better.
    project = connection.project if project.isdigit() else project
    found = re.fullmatch(r"gs://([^/]+)/(?:(.*)/)?(?:jobs|predictions)/[^/]+", seen.output_url)
    bucket, prefix = (found.group(1), found.group(2) or "") if found else (connection.bucket, connection.prefix)
    return replace(connection, project=project, region=region, bucket=bucket, prefix=prefix)


def _manifest_hash(where: Connection, seen: Seen, label: str, given: str, known: list[Job]) -> str:
    """The whole hash that the label is the beginning of, from wherever it can be read; else the label itself."""
    candidates = (given, *(job.manifest_hash for job in known))
    for candidate in chain(candidates, _stored_hashes(where, seen)):
        if candidate and manifest_label(candidate) == label:
            return candidate
    return label


def _stored_hashes(where: Connection, seen: Seen) -> Iterator[str]:
    for url in (seen.output_url, where.base_url):
        if not url.startswith("gs://"):
            continue
        try:
            header: Any = json.loads(where.open(url).get_bytes("manifest.json"))
            yield str(header["content_hash"])
        except (CxrError, ValueError, KeyError, TypeError):
            continue  # not there, or nothing of ours: the label's beginning has to do


def _same(one: str, other: str) -> bool:
    # Without the project: the service writes its number where people write its id.
    return one.split("/")[2:] == other.split("/")[2:]


def hourly_price(prices: PriceTable, kind: JobKind, asked: Mapping[str, Any]) -> float:
    """At most, all replicas together (of one trial); 0 when the table does not know, or the machines are not all the
    same: then no cost is shown rather than a wrong one."""
    try:
        if kind is JobKind.AUTOML:
            return prices.automl(ModelType(asked.get("model_type", ""))).at_most.usd_per_hour
        if not asked.get("machine"):
            return 0.0
        hardware = Hardware(
            asked["machine"],
            asked.get("accelerator"),
            int(asked.get("gpus", 0)),
            int(asked.get("replicas", 1)),
            disk_gb=int(asked.get("disk_gb", DEFAULT_DISK_GB)),
        )
        return prices.hardware(hardware).at_most.usd_per_hour
    except (KeyError, ValueError, UsageError):
        return 0.0


def worst_hours(kind: JobKind, asked: Mapping[str, Any]) -> float:
    """Hours that a job is paid for at most, without a timeout those after which the service ends it; 0: not known."""
    if kind is JobKind.AUTOML:
        return float(asked.get("budget_milli_node_hours", 0)) / 1000
    if kind not in {JobKind.CUSTOM, JobKind.TUNE}:
        return 0.0
    hours = float(asked.get("timeout_hours") or MAXIMUM_TIMEOUT_HOURS)
    return hours * float(asked.get("trials") or 1) if kind is JobKind.TUNE else hours


def _named_kinds() -> list[str]:
    return [str(kind) for kind in JobKind if kind is not JobKind.IMPORT]


def _kind(name: str) -> JobKind:
    if name not in _named_kinds():
        hint = f"choose one of: {', '.join(_named_kinds())}; an import is named by its operation's full name"
        raise UsageError(f"there is no kind of job {name!r}", hint=hint)
    return JobKind(name)
