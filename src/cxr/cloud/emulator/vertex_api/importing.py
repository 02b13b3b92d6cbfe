"""The work of datasets.import: read the files, look at each image, keep the first of equal ones."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from cxr.cloud.emulator.errors import Code, RpcError, invalid_argument, not_found
from cxr.cloud.emulator.jobs.outcomes import import_script
from cxr.cloud.emulator.state.database import next_serial
from cxr.cloud.emulator.storage_api.context import StorageContext
from cxr.cloud.emulator.storage_api.internal import md5_of, object_at, objects_below, read_head, read_object, split_uri
from cxr.cloud.emulator.vertex_api.call import VertexContext
from cxr.cloud.emulator.vertex_api.import_files import ImportRow, RowError, read_rows
from cxr.cloud.emulator.vertex_api.messages import JsonObject, packed, types
from cxr.cloud.emulator.vertex_api.operations import OperationError
from cxr.cloud.emulator.vertex_api.resource_store import find

#: GenericOperationMetadata: "this field should never exceed 20 entries".
MAX_PARTIAL_FAILURES = 20
MAX_IMAGE_BYTES = 30 * 1000 * 1000
SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM", b"\x00\x00\x01\x00")
log = logging.getLogger(__name__)


def import_work(context: VertexContext, work_input: JsonObject) -> tuple[JsonObject, JsonObject]:
    """Do one import. Fails as a whole when an import file is missing or nothing in it can be used."""
    dataset = work_input["dataset"]
    with context.write() as connection:
        script = import_script(connection, find(connection, dataset))
    if script is not None and script.error is not None:
        raise script.error
    good: list[tuple[ImportRow, str]] = []
    failures: list[JsonObject] = []
    for row in _rows(context.storage, work_input["configs"]):
        if script is not None and isinstance(row, ImportRow) and script.refuses(row.uri):
            error = script.row_error
            failures.append({"code": error.code.number, "message": f"{row.uri}: {error.message}"})
            continue
        digest = _digest(context.storage, row) if isinstance(row, ImportRow) else row
        if isinstance(row, ImportRow) and isinstance(digest, str):
            good.append((row, digest))
        elif isinstance(digest, RowError):
            code = Code.NOT_FOUND if "does not exist" in str(digest) else Code.INVALID_ARGUMENT
            failures.append({"code": code.number, "message": str(digest)})
    metadata = {"genericMetadata": {"partialFailures": failures[:MAX_PARTIAL_FAILURES]}}
    if not good:
        error = invalid_argument("No data item could be imported; see the partial failures.")
        raise OperationError(error, metadata)
    with context.write() as connection:
        new = _insert(connection, dataset, work_input["operation"], good)
    log.info(
        "%s: %d rows, %d new items, %d repeats dropped, %d failures",
        dataset,
        len(good) + len(failures),
        new,
        len(good) - new,
        len(failures),
    )
    return packed(types.ImportDataResponse, {}), metadata


def _rows(storage: StorageContext, configs: list[JsonObject]) -> Iterator[ImportRow | RowError]:
    for config in configs:
        common = config.get("dataItemLabels", {})
        for uri in config["gcsSource"]["uris"]:
            for name, text in _files(storage, uri):
                for row in read_rows(name, text):
                    # What the file says of an item goes before what the request says of all.
                    merged = (
                        ImportRow(row.uri, row.label, {**common, **row.labels}) if isinstance(row, ImportRow) else row
                    )
                    yield merged


def _files(storage: StorageContext, uri: str) -> Iterator[tuple[str, str]]:
    try:
        bucket, name = split_uri(uri)
    except ValueError as error:
        raise invalid_argument(str(error)) from None
    found = [row for row in [object_at(storage, uri)] if row is not None]
    if not found and "*" in name:
        found = [row for row in objects_below(storage, bucket, name.split("*", 1)[0]) if fnmatchcase(row["name"], name)]
    if not found:
        raise not_found(f"The import file {uri} does not exist.")
    for row in found:
        full = f"gs://{bucket}/{row['name']}"
        try:
            yield full, read_object(storage, row).decode("utf-8")
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


def _labels(labels: Mapping[str, Any]) -> str:
    return json.dumps({key: str(value) for key, value in labels.items()}, sort_keys=True)
