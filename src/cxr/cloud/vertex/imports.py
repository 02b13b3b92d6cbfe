"""A dataset's import: half an hour on Google, so it stands in the journal like any job and is found again."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from cxr.cloud.connection import Connection
from cxr.cloud.jobs.journal import SUCCEEDED, Job, Journal
from cxr.cloud.plans.launch import JobKind, manifest_label
from cxr.cloud.vertex.clients import REQUEST_TIMEOUT_S, dataset_client
from cxr.cloud.vertex.long_running import wait_for_operation
from cxr.errors import Interrupted, JobFailed, NotFound
from cxr.manifests.import_files import ImportFormat, plan_import, write_import_files
from cxr.manifests.manifest import Manifest
from cxr.storage.google.errors import google_errors, polling_errors

IMPORT_SCHEMA = (
    "gs://google-cloud-aiplatform/schema/dataset/ioformat/image_classification_single_label_io_format_1.0.0.yaml"
)


def import_file_name(manifest: Manifest) -> str:
    """Where a manifest's import file lies, below the connection's prefix (a large one in parts beside that name)."""
    return f"import/{manifest_label(manifest.hash)[:16]}.jsonl"


def import_id(connection: Connection, manifest: Manifest) -> str:
    """The journal's id of the import of a manifest at one place."""
    said = json.dumps({"where": connection.identity(), "manifest": manifest.hash}, sort_keys=True)
    return f"{JobKind.IMPORT}-{hashlib.sha256(said.encode()).hexdigest()[:10]}"


def run_import(
    connection: Connection,
    journal: Journal,
    manifest: Manifest,
    dataset: str,
    *,
    filled: Callable[[], bool],
    on_step: Callable[[str], None],
) -> tuple[str, ...]:
    """Import a manifest's images into a dataset and wait; one that an earlier run began is waited for instead, and
    nothing is imported when it has just ended and left the dataset `filled`.

    Returns the service's partial failures, one text a row. Raises JobFailed, and Interrupted when the wait is left.
    """
    known = journal.get(import_id(connection, manifest)) or journal.add(_described(connection, manifest))
    operation = _running(connection, known, dataset)
    if operation is None and filled():
        journal.update(known, state=SUCCEEDED, ended=_now())
        return ()
    if operation is None:
        operation = _start(connection, manifest, dataset)
    else:
        on_step("an earlier import is still at work")
    job = _noted(journal, known, operation, dataset)
    try:
        wait_for_operation(operation, "import the images")
    except JobFailed as error:
        journal.update(job, state="FAILED", error=error.message, ended=_now())
        raise
    except KeyboardInterrupt:
        raise Interrupted("the import goes on without this program", hint=f"cxr cloud wait {job.id}") from None
    failures = by_row(partial_failures(operation), manifest, connection.images_url)
    journal.update(job, state=SUCCEEDED, ended=_now(), error=f"{len(failures)} rows failed" if failures else "")
    return failures


def partial_failures(operation: Any) -> tuple[str, ...]:
    """What an import could not take. The high-level SDK throws these away; they are in the operation's metadata."""
    metadata = operation.metadata
    return tuple(str(status.message) for status in metadata.generic_metadata.partial_failures) if metadata else ()


def by_row(failures: Sequence[str], manifest: Manifest, images_url: str) -> tuple[str, ...]:
    """The service's messages, each behind the line of manifest.csv and the path that it is about."""
    if not failures:
        return ()
    lines = {path: line for line, path in enumerate(manifest.frame["path"], start=2)}
    told = []
    for message in failures:
        found = re.search(re.escape(images_url) + r"/(.+?\.\w+)", message)
        path = found.group(1) if found else ""
        told.append(f"manifest line {lines[path]}, {path}: {message}" if path in lines else message)
    return tuple(told)


def import_operation(connection: Connection, name: str) -> Any:
    """An import's operation by its name, to be waited for. Raises NotFound when the service no longer knows it."""
    from google.api_core import operation as futures
    from google.cloud.aiplatform_v1 import types

    operations = dataset_client(connection).transport.operations_client
    with polling_errors("look for the import"):
        found = operations.get_operation(name, timeout=REQUEST_TIMEOUT_S)
    return futures.from_gapic(
        found, operations, types.ImportDataResponse, metadata_type=types.ImportDataOperationMetadata
    )


def _running(connection: Connection, job: Job, dataset: str) -> Any:
    """The import of this dataset that is at work: the journal's, or (a crash came between the service's answer and the
    journal) one that the service lists."""
    names = [job.resource] if job.resource.startswith(f"{dataset}/operations/") and not job.finished else []
    operations = dataset_client(connection).transport.operations_client
    with polling_errors("look for an earlier import"):
        names += [found.name for found in operations.list_operations(dataset, "") if not found.done]
    for name in names:
        try:
            operation = import_operation(connection, name)
        except NotFound:
            continue
        if "ImportData" in operation.operation.metadata.type_url:
            return operation
    return None


def _start(connection: Connection, manifest: Manifest, dataset: str) -> Any:
    uris = [f"{connection.base_url}/{name}" for name in _send_import_files(connection, manifest)]
    with google_errors("import the images"):
        return dataset_client(connection).import_data(
            request={
                "name": dataset,
                "import_configs": [{"gcs_source": {"uris": uris}, "import_schema_uri": IMPORT_SCHEMA}],
            },
            timeout=REQUEST_TIMEOUT_S,
        )


def _send_import_files(connection: Connection, manifest: Manifest) -> list[str]:
    """Write the import files on this disk, never all rows in memory, and put them into the bucket: their names."""
    plan = plan_import(manifest, connection.images_url, ImportFormat.JSONL)
    name, store = PurePosixPath(import_file_name(manifest)), connection.store()
    with tempfile.TemporaryDirectory(prefix="cxr-import-") as folder:
        written = write_import_files(plan, Path(folder) / name.name)
        names = [str(name.with_name(file.path.name)) for file in written.files]
        for target, file in zip(names, written.files, strict=True):
            store.replace_file(target, file.path, content_type="application/jsonl")
    return names


def _noted(journal: Journal, job: Job, operation: Any, dataset: str) -> Job:
    name = operation.operation.name
    if job.resource == name and not job.finished:
        return job
    details = {"dataset": dataset}
    return journal.update(job, resource=name, state="RUNNING", started=_now(), ended="", error="", details=details)


def _described(connection: Connection, manifest: Manifest) -> Job:
    where = connection
    return Job(
        id=import_id(connection, manifest),
        kind=JobKind.IMPORT,
        on=where.on,
        project=where.project,
        region=where.region,
        bucket=where.bucket,
        prefix=where.prefix,
        manifest_hash=manifest.hash,
        fingerprint="",
        created=_now(),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
