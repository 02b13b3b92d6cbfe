"""The work of datasets.import: read the files, look at each image, keep the first of equal ones."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any

from cxr.cloud.emulator.errors import Code, RpcError, invalid_argument, not_found
from cxr.cloud.emulator.jobs.outcomes import ImportScript, import_script
from cxr.cloud.emulator.state.database import find_document, next_serial, put_document
from cxr.cloud.emulator.storage_api.context import StorageContext
from cxr.cloud.emulator.storage_api.internal import md5_of, object_at, objects_below, read_head, split_uri
from cxr.cloud.emulator.vertex_api.call import VertexContext
from cxr.cloud.emulator.vertex_api.import_files import ImportRow, RowError, read_rows, text_lines
from cxr.cloud.emulator.vertex_api.messages import JsonObject, packed, types
from cxr.cloud.emulator.vertex_api.operations import LeftUndone, OperationError
from cxr.cloud.emulator.vertex_api.resource_store import find

#: GenericOperationMetadata: "this field should never exceed 20 entries".
MAX_PARTIAL_FAILURES = 20
MAX_IMAGE_BYTES = 30 * 1000 * 1000
#: Images of a dataset: https://cloud.google.com/vertex-ai/docs/image-data/classification/prepare-data. What the service
#: answers beyond that is inferred.
MAX_ITEMS = 1_000_000
#: Rows between two transactions.
_BATCH = 5_000
SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM", b"\x00\x00\x01\x00")
log = logging.getLogger(__name__)


def import_work(context: VertexContext, work_input: JsonObject) -> tuple[JsonObject, JsonObject]:
    """Do one import. Fails as a whole, and then leaves nothing behind, when an import file is missing, nothing in it
    can be used, it was cancelled, or the dataset would have more items than one may.

    Rows are never all in memory: they are looked at and put into the dataset some thousands at a time. When the server
    stops meanwhile, the next one begins anew: what is there already stays.
    """
    dataset, operation = work_input["dataset"], work_input["operation"]
    with context.write() as connection:
        script = import_script(connection, find(connection, dataset))
        if script is not None and script.error is not None:
            raise script.error
        first = _first_serial(connection, operation)
    # Imports are done one after another: nobody else adds to this dataset meanwhile.
    tally = _Tally(held=count_items(context.read, dataset))
    looked = _looked_at(context.storage, _rows(context.storage, work_input["configs"]), script, tally)
    try:
        while batch := list(islice(looked, _BATCH)):
            with context.write() as connection:
                tally.new += _insert(connection, dataset, operation, batch)
                if tally.held + tally.new > MAX_ITEMS:
                    raise _full()
            tally.good += len(batch)
            if context.stopping.is_set():
                raise LeftUndone
        metadata = {"genericMetadata": {"partialFailures": tally.failures}}
        if not tally.good:
            error = invalid_argument("No data item could be imported; see the partial failures.")
            raise OperationError(error, metadata)
    except LeftUndone:
        raise
    except BaseException:
        with context.write() as connection:
            connection.execute("DELETE FROM data_items WHERE dataset=? AND serial>=?", (dataset, first))
            put_document(connection, _first_name(operation), None)
        raise
    with context.write() as connection:
        put_document(connection, _first_name(operation), None)
    log.info(
        "%s: %d rows, %d new items, %d repeats dropped, %d failures",
        dataset,
        tally.good + tally.failed,
        tally.new,
        tally.good - tally.new,
        tally.failed,
    )
    return packed(types.ImportDataResponse, {}), metadata


@dataclass(slots=True)
class _Tally:
    """What an import has come to: items that the dataset `held`, rows, `new` items; `failures` are the first of the
    `failed`, as google.rpc.Status."""

    held: int
    good: int = 0
    new: int = 0
    failed: int = 0
    failures: list[JsonObject] = field(default_factory=list)

    def fail(self, code: Code, message: str) -> None:
        self.failed += 1
        if len(self.failures) < MAX_PARTIAL_FAILURES:
            self.failures.append({"code": code.number, "message": message})


def _first_serial(connection: sqlite3.Connection, operation: str) -> int:
    """The first number that this import's items may have, also when an earlier server has begun with it."""
    known = find_document(connection, _first_name(operation))
    if known is None:
        known = next_serial(connection, "data_item")
        put_document(connection, _first_name(operation), known)
    return int(known)


def _first_name(operation: str) -> str:
    return f"import/{operation}/first"


def _looked_at(
    storage: StorageContext, rows: Iterator[ImportRow | RowError], script: ImportScript | None, tally: _Tally
) -> Iterator[tuple[ImportRow, str]]:
    """The rows that can be used, each with the md5 of its image; the others are counted."""
    for row in rows:
        if isinstance(row, RowError):
            tally.fail(_code_of(row), str(row))
            continue
        if script is not None and script.refuses(row.uri):
            tally.fail(script.row_error.code, f"{row.uri}: {script.row_error.message}")
            continue
        digest = _digest(storage, row)
        if isinstance(digest, RowError):
            tally.fail(_code_of(digest), str(digest))
        else:
            yield row, digest


def _code_of(error: RowError) -> Code:
    return Code.NOT_FOUND if "does not exist" in str(error) else Code.INVALID_ARGUMENT


def _rows(storage: StorageContext, configs: list[JsonObject]) -> Iterator[ImportRow | RowError]:
    for config in configs:
        common = config.get("dataItemLabels", {})
        for uri in config["gcsSource"]["uris"]:
            for found in _files(storage, uri):
                for row in _rows_of(storage, found):
                    # What the file says of an item goes before what the request says of all.
                    if common and isinstance(row, ImportRow):
                        yield ImportRow(row.uri, row.label, {**common, **row.labels})
                    else:
                        yield row


def _files(storage: StorageContext, uri: str) -> list[sqlite3.Row]:
    try:
        bucket, name = split_uri(uri)
    except ValueError as error:
        raise invalid_argument(str(error)) from None
    found = [row for row in [object_at(storage, uri)] if row is not None]
    if not found and "*" in name:
        found = [row for row in objects_below(storage, bucket, name.split("*", 1)[0]) if fnmatchcase(row["name"], name)]
    if not found:
        raise not_found(f"The import file {uri} does not exist.")
    return found


def _rows_of(storage: StorageContext, file: sqlite3.Row) -> Iterator[ImportRow | RowError]:
    full = f"gs://{file['bucket']}/{file['name']}"
    try:
        yield from read_rows(full, text_lines(storage.blobs.chunks(file["blob"], file["size"])))
    except UnicodeDecodeError:
        raise RpcError(Code.INVALID_ARGUMENT, f"{full} is not UTF-8.") from None
    except FileNotFoundError:
        raise RpcError(Code.INTERNAL, f"The bytes of {full} are missing.") from None


def _digest(storage: StorageContext, row: ImportRow) -> str | RowError:
    try:
        found = object_at(storage, row.uri)
    except ValueError as error:
        return RowError(str(error))
    if found is None:
        return RowError(f"The image {row.uri} does not exist.")
    if found["size"] > MAX_IMAGE_BYTES:
        return RowError(f"The image {row.uri} has {found['size']:,} bytes; at most {MAX_IMAGE_BYTES:,} are allowed.")
    try:
        if not read_head(storage, found, 16).startswith(SIGNATURES):
            return RowError(f"{row.uri} is not a JPEG, PNG, GIF, BMP or ICO image.")
        return str(found["md5"] or md5_of(storage, found))
    except FileNotFoundError:
        return RowError(f"The bytes of {row.uri} are missing.")


def _insert(connection: sqlite3.Connection, dataset: str, operation: str, rows: list[tuple[ImportRow, str]]) -> int:
    """How many of the rows are new items. Raises when the import was cancelled."""
    row = connection.execute("SELECT done FROM operations WHERE name=?", (operation,)).fetchone()
    if row is None or row["done"]:
        raise RpcError(Code.CANCELLED, "The operation was cancelled.")
    first = next_serial(connection, "data_item")
    connection.execute("UPDATE counters SET value=? WHERE name='data_item'", (first + len(rows),))
    before = connection.total_changes
    connection.executemany(
        "INSERT OR IGNORE INTO data_items VALUES (?,?,?,?,?,?)",
        [
            (dataset, digest, first + number, item.uri, item.label, _labels(item.labels))
            for number, (item, digest) in enumerate(rows)
        ],
    )
    return connection.total_changes - before


def count_items(connection: sqlite3.Connection, dataset: str) -> int:
    """How many items a dataset has."""
    row = connection.execute("SELECT COUNT(*) AS items FROM data_items WHERE dataset=?", (dataset,)).fetchone()
    return int(row["items"])


def _full() -> RpcError:
    words = f"The dataset would have more than the {MAX_ITEMS:,} images that one may have."
    return RpcError(Code.RESOURCE_EXHAUSTED, words)


def _labels(labels: Mapping[str, Any]) -> str:
    return json.dumps({key: str(value) for key, value in labels.items()}, sort_keys=True)
