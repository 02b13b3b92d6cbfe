"""Exports on the service: those in the bucket already are found, the others are begun together and waited for."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from cxr.cloud.connection import Connection
from cxr.cloud.exporting.formats import ExportFormat, our_names
from cxr.cloud.exporting.records import ExportRecord, ExportRecords
from cxr.cloud.jobs.waiting import ask
from cxr.cloud.vertex.clients import model_client
from cxr.cloud.vertex.long_running import wait_by_name
from cxr.cloud.vertex.models import ServiceModel, begin_export, exported_url
from cxr.errors import Fault, JobFailed, NotFound, UsageError
from cxr.progress import Say


@dataclass(frozen=True, slots=True)
class Artefact:
    """One format's files in the bucket; `found` when an earlier export made them."""

    format: ExportFormat
    url: str
    found: bool


def check_formats(model: ServiceModel, wanted: Sequence[ExportFormat]) -> None:
    """Raises UsageError, naming all that is not offered and what there is, before anything is exported."""
    absent = [one.name for one in wanted if one.service_id not in model.export_formats]
    if not absent:
        return
    offered = ", ".join(our_names(model.export_formats))
    if not offered:
        raise UsageError(
            "this model cannot be exported: cloud models stay on the service",
            hint="judge it there: cxr cloud evaluate JOB --predict batch --manifest manifest.csv",
        )
    raise UsageError(f"this model has no export format {', '.join(absent)}", hint=f"it has: {offered}")


def collect(
    connection: Connection,
    model: ServiceModel,
    wanted: Sequence[ExportFormat],
    destination: str,
    records: ExportRecords,
    *,
    again: bool = False,
    say: Say = lambda _: None,
) -> tuple[Artefact, ...]:
    """Where each format's files are, in the order of `wanted`. All that has to be exported is begun before the first is
    waited for.

    Raises UsageError for a format that is not offered, JobFailed with the service's message when an export fails; what
    was begun goes on when this is interrupted, and is found by the next call.
    """
    check_formats(model, wanted)
    found = set()
    with records.locked():
        for one in wanted:
            if not again and _known(connection, model, one, destination, records):
                found.add(one.name)
                continue
            # Asked twice, it is written twice, which costs nothing.
            operation = ask(partial(begin_export, connection, model, one.service_id, destination))
            records.put(one.name, ExportRecord(model.resource, operation.name, exported_url(operation)))
            say(f"exporting {one.name}")
    return tuple(_awaited(connection, one, records, found=one.name in found, say=say) for one in wanted)


def _known(
    connection: Connection, model: ServiceModel, one: ExportFormat, destination: str, records: ExportRecords
) -> bool:
    """Whether an export of this model is running or in the bucket; the record then says where."""
    record = records.get(one.name)
    if record is not None and record.model == model.resource:
        if not record.done:
            return True
        if _is_there(connection, record.url, one):
            return True
    url = _newest(connection, f"{destination}/model-{model.id}/{one.service_id}", one)
    if url:
        records.put(one.name, ExportRecord(model.resource, "", url, done=True))
    return bool(url)


def _awaited(connection: Connection, one: ExportFormat, records: ExportRecords, *, found: bool, say: Say) -> Artefact:
    record = records.get(one.name)
    if record is None:
        raise Fault(f"the record of the export as {one.name} was lost while it ran", hint="run the same command again")
    if record.done:
        say(f"{one.name} was exported before: {record.url}")
        return Artefact(one, record.url, found=True)
    if found:
        say(f"{one.name} is being exported: going on with it")
    try:
        ended = wait_by_name(model_client(connection), record.operation, f"export the model as {one.name}")
    except (NotFound, JobFailed) as error:
        # The next call shall not wait for it again.
        records.put(one.name, replace(record, done=True, url=""))
        raise JobFailed(error.message, hint="run the same command again: it exports anew") from error
    url = exported_url(ended) or record.url
    if not url:
        raise Fault(f"export the model as {one.name}: the service did not say where it wrote the files")
    records.put(one.name, replace(record, done=True, url=url))
    return Artefact(one, url, found=False)


def _is_there(connection: Connection, url: str, one: ExportFormat) -> bool:
    if not url:
        return False
    try:
        return any(_is_marker(info.name, one) for info in connection.open(url).list())
    except NotFound:
        return False


def _newest(connection: Connection, folder: str, one: ExportFormat) -> str:
    """The newest export under `folder` (the service names them by their time) that has its model file; "" for none."""
    try:
        names = [info.name for info in connection.open(folder).list()]
    except NotFound:
        return ""
    times = {name.partition("/")[0] for name in names if _is_marker(name.partition("/")[2], one)}
    return f"{folder}/{max(times)}" if times else ""


def _is_marker(name: str, one: ExportFormat) -> bool:
    return fnmatch.fnmatch(name, one.marker)
