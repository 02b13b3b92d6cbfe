"""Objects: commit new bytes, get, patch and delete metadata."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from cxr.cloud.emulator.errors import invalid, no_such_object
from cxr.cloud.emulator.http import Request, Response, json_response
from cxr.cloud.emulator.state.blobs import Blob
from cxr.cloud.emulator.storage_api.attributes import merged_attributes
from cxr.cloud.emulator.storage_api.buckets import check_bucket, find_bucket, json_body
from cxr.cloud.emulator.storage_api.context import Row, StorageContext, now_us
from cxr.cloud.emulator.storage_api.partial import mask_of
from cxr.cloud.emulator.storage_api.preconditions import Preconditions, preconditions_of, whole_number
from cxr.cloud.emulator.storage_api.resources import object_resource

MAX_NAME_BYTES = 1024
#: Of the table, in its order.
OBJECT_COLUMNS = (
    *("bucket", "name", "generation", "metageneration", "size", "crc32c", "md5", "blob"),
    *("created_us", "updated_us", "attributes"),
)


def commit_object(
    context: StorageContext,
    bucket: str,
    name: str,
    blob: Blob,
    attributes: Mapping[str, Any],
    preconditions: Preconditions,
    *,
    upload_id: str | None = None,
) -> Row:
    """Make `blob` the live object under `name`, if the preconditions hold; otherwise the blob is removed.

    With `upload_id` the upload is marked as finished in the same transaction, with the object that it made.
    Raises 404 or 412.
    """
    moment = now_us()
    try:
        with context.database.write() as connection:
            check_bucket(context, bucket, connection)
            old = live_object(connection, bucket, name)
            preconditions.check(old)
            blob = context.blobs.keep(blob)
            generation = context.database.next_generation(connection, moment)
            numbers = (generation, 1, blob.size, blob.crc32c, blob.md5, blob.id, moment, moment)
            values = (bucket, name, *numbers, json.dumps(attributes))
            connection.execute("INSERT OR REPLACE INTO objects VALUES (?,?,?,?,?,?,?,?,?,?,?)", values)
            if upload_id is not None:
                made = json.dumps(dict(zip(OBJECT_COLUMNS, values, strict=True)))
                finished = (generation, made, upload_id)
                connection.execute("UPDATE uploads SET generation=?, attributes=? WHERE id=?", finished)
    except BaseException:
        context.blobs.remove(blob.id)
        raise
    if old is not None:
        context.blobs.remove(old["blob"])
    return dict(zip(OBJECT_COLUMNS, values, strict=True))


def get_object(context: StorageContext, request: Request, bucket: str, name: str) -> Response:
    """GET /storage/v1/b/BUCKET/o/OBJECT: the metadata."""
    row = find_object(context.database.read, bucket, name, request.query.get("generation"))
    preconditions_of(request.query).check(row, reading=True)
    return json_response(object_resource(row, request.base_url, mask_of(request.query)))


def patch_object(context: StorageContext, request: Request, bucket: str, name: str) -> Response:
    """PATCH /storage/v1/b/BUCKET/o/OBJECT: null removes a key, `metadata` is merged key by key."""
    wanted = json_body(request)
    with context.database.write() as connection:
        row = find_object(connection, bucket, name, request.query.get("generation"))
        preconditions_of(request.query).check(row)
        attributes = merged_attributes(json.loads(row["attributes"]), wanted)
        connection.execute(
            "UPDATE objects SET attributes=?, metageneration=metageneration+1, updated_us=? WHERE bucket=? AND name=?",
            (json.dumps(attributes), now_us(), bucket, name),
        )
        row = find_object(connection, bucket, name, None)
    return json_response(object_resource(row, request.base_url, mask_of(request.query)))


def delete_object(context: StorageContext, request: Request, bucket: str, name: str) -> Response:
    """DELETE /storage/v1/b/BUCKET/o/OBJECT."""
    with context.database.write() as connection:
        row = find_object(connection, bucket, name, request.query.get("generation"))
        preconditions_of(request.query).check(row)
        connection.execute("DELETE FROM objects WHERE bucket=? AND name=?", (bucket, name))
    context.blobs.remove(row["blob"])
    return Response(204, content_type=None)


def find_object(connection: sqlite3.Connection, bucket: str, name: str, generation: str | None) -> sqlite3.Row:
    """A live object's row (of that generation, when given). Raises 404 for the bucket or the object, 400."""
    wanted = None if not generation else whole_number(generation, "generation")
    row = live_object(connection, bucket, name)
    if row is None or (wanted is not None and wanted != row["generation"]):
        find_bucket(connection, bucket)
        raise no_such_object(bucket, name)
    return row


def live_object(connection: sqlite3.Connection, bucket: str, name: str) -> sqlite3.Row | None:
    """A live object's row, or None."""
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM objects WHERE bucket=? AND name=?", (bucket, name)
    ).fetchone()
    return row


def checked_object_name(name: object) -> str:
    """The name, if Cloud Storage would take it (1-1,024 bytes of UTF-8, no line breaks). Raises 400.

    Source: https://cloud.google.com/storage/docs/objects#naming.
    """
    if not isinstance(name, str) or not name:
        raise invalid("Required parameter: name")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise invalid("The object name is not valid UTF-8.") from None
    if size > MAX_NAME_BYTES:
        raise invalid(f"The maximum object length is {MAX_NAME_BYTES} characters, but got a name that is longer.")
    if "\r" in name or "\n" in name or name in {".", ".."} or name.startswith(".well-known/acme-challenge/"):
        raise invalid(f"Disallowed unicode characters present in object name '{name}'")
    return name
