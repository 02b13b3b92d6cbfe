"""Jobs that were started elsewhere, taken into the journal by their name or by their label."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

from cxr.cloud.connection import Connection
from cxr.cloud.jobs.asking import changes_of
from cxr.cloud.jobs.journal import Job, Journal
from cxr.cloud.jobs.seen import MANIFEST_LABEL, RUN_LABEL, Attached, JobName, Seen, resource_tail
from cxr.cloud.plans.launch import JobKind, manifest_label
from cxr.cloud.prices.table import PriceTable, price_table
from cxr.documents import parse_json
from cxr.errors import CxrError, RulerMismatch, UsageError


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
    provider = connection.provider
    try:
        seen = provider.look(connection, name.kind, provider.full_name(connection, name))
    except ValueError as error:
        raise UsageError(str(error), hint="cxr follows the import of a dataset, no other operation") from None
    return _take(
        connection,
        journal,
        name.kind,
        seen,
        manifest_hash,
        prices or price_table(None, connection.provider.prices),
        claimed=claimed,
    )


def attach_all(
    connection: Connection, journal: Journal, *, manifest_hash: str = "", prices: PriceTable | None = None
) -> list[Attached]:
    """Every job of the project and region that carries cxr's label and is not in the journal: what was launched from
    other folders, and what a crash between creation and journal left, whose entry is then made whole."""
    found: list[Attached] = []
    prices = prices or price_table(None, connection.provider.prices)
    for kind, seen in sorted(connection.provider.labelled_jobs(connection, JobKind), key=lambda one: one[1].created):
        if RUN_LABEL not in seen.labels or _is_part(kind, seen):
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
    connection.provider.check_attachable(kind, seen)
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
    provider = connection.provider
    where = provider.place_of(connection, seen)
    usd_per_hour = provider.hourly_price(prices, kind, seen.details)
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
        worst_case_usd=usd_per_hour * provider.worst_hours(kind, seen.details),
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


def _is_part(kind: JobKind, seen: Seen) -> bool:
    """Whether this is what a tuning job runs as one of its trials, under the tuning job's labels."""
    run = seen.labels.get(RUN_LABEL, "")
    return kind is JobKind.CUSTOM and run.startswith(f"{JobKind.TUNE}-")


def _manifest_hash(where: Connection, seen: Seen, label: str, given: str, known: list[Job]) -> str:
    """The whole hash that the label is the beginning of, from wherever it can be read; else the label itself."""
    candidates = (given, *(job.manifest_hash for job in known))
    for candidate in chain(candidates, _stored_hashes(where, seen)):
        if candidate and manifest_label(candidate) == label:
            return candidate
    return label


def _stored_hashes(where: Connection, seen: Seen) -> Iterator[str]:
    for url in (seen.output_url, where.base_url):
        if not url.startswith(f"{where.provider.scheme}://"):
            continue
        try:
            header: Any = parse_json(where.open(url).get_bytes("manifest.json"))
            yield str(header["content_hash"])
        except (CxrError, ValueError, KeyError, TypeError):
            continue  # not there, or nothing of ours: the label's beginning has to do


def _same(one: str, other: str) -> bool:
    return resource_tail(one) == resource_tail(other)
