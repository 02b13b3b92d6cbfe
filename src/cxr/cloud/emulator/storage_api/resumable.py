"""Resumable uploads: start, append, ask how far, cancel. What has arrived is a file, so it survives a restart.

Source: https://cloud.google.com/storage/docs/performing-resumable-uploads. Pieces are multiples of 256 KiB except the
last; the answer to an unfinished piece is 308 with `Range: bytes=0-LAST`.
"""

from __future__ import annotations

import json
import re
import sqlite3
import threading
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cxr.cloud.emulator.errors import StorageError, invalid
from cxr.cloud.emulator.http import Body, Request, Response, json_response
from cxr.cloud.emulator.state.blobs import write_all
from cxr.cloud.emulator.storage_api.attributes import object_attributes
from cxr.cloud.emulator.storage_api.buckets import find_bucket, json_body
from cxr.cloud.emulator.storage_api.checksums import declared_checksums, verify_checksums
from cxr.cloud.emulator.storage_api.context import StorageContext, now_us
from cxr.cloud.emulator.storage_api.objects import (
    checked_object_name,
    commit_object,
    find_object,
    live_object,
)
from cxr.cloud.emulator.storage_api.preconditions import NAMES, Preconditions, preconditions_of, whole_number
from cxr.cloud.emulator.storage_api.resources import object_resource

QUANTUM_BYTES = 256 * 1024
#: How long a finished upload can be asked for.
KEPT_MICROSECONDS = 7 * 24 * 3600 * 1_000_000
_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)")
#: Two requests for one upload (a retry that overtakes) must not write at once.
_LOCKS = [threading.Lock() for _ in range(64)]


def start_upload(context: StorageContext, request: Request, bucket: str) -> Response:
    """POST …?uploadType=resumable: makes the session and names its URL in the Location header."""
    metadata = json_body(request)
    name = checked_object_name(request.query.get("name") or metadata.get("name"))
    preconditions = preconditions_of(request.query)
    find_bucket(context.database.read, bucket)
    preconditions.check(live_object(context.database.read, bucket, name))
    attributes = object_attributes(metadata, request.headers.get("x-upload-content-type"))
    declared: dict[str, Any] = {**declared_checksums(metadata, request.headers)}
    if "x-upload-content-length" in request.headers:
        declared["size"] = whole_number(request.headers["x-upload-content-length"], "X-Upload-Content-Length")
    upload_id = uuid.uuid4().hex
    with context.database.write() as connection:
        connection.execute(
            "INSERT INTO uploads VALUES (?,?,?,?,?,?,?,NULL)",
            (
                upload_id,
                bucket,
                name,
                now_us(),
                json.dumps(attributes),
                json.dumps({key: request.query[key] for key in NAMES if key in request.query}),
                json.dumps(declared),
            ),
        )
    location = (
        f"{request.base_url}/upload/storage/v1/b/{quote(bucket, safe='')}/o?uploadType=resumable&upload_id={upload_id}"
    )
    return Response(200, b"", {"Location": location, "X-GUploader-UploadID": upload_id})


def continue_upload(context: StorageContext, request: Request) -> Response:
    """PUT (a piece, or `Content-Range: bytes */N` to ask) and DELETE on a session's URL."""
    upload_id = request.query["upload_id"]
    with _LOCKS[hash(upload_id) % len(_LOCKS)]:
        row = context.database.read.execute("SELECT * FROM uploads WHERE id=?", (upload_id,)).fetchone()
        if row is None:
            raise StorageError(404, "notFound", "The resumable upload session does not exist or has ended.")
        if request.method == "DELETE":
            return _cancel(context, row)
        if request.method not in {"PUT", "POST"}:
            raise StorageError(405, "methodNotAllowed", "Method Not Allowed")
        if row["generation"] is not None:
            return _finished(context, request, row)
        return _append(context, request, row)


def name_of_upload(context: StorageContext, upload_id: str) -> str | None:
    """The name of the object that an upload is to make."""
    row = context.database.read.execute("SELECT name FROM uploads WHERE id=?", (upload_id,)).fetchone()
    return None if row is None else str(row["name"])


def forget_finished_uploads(connection: sqlite3.Connection) -> None:
    """Those that were begun a week ago: the service forgets a session then."""
    connection.execute(
        "DELETE FROM uploads WHERE generation IS NOT NULL AND created_us<?", (now_us() - KEPT_MICROSECONDS,)
    )


def _append(context: StorageContext, request: Request, upload: sqlite3.Row) -> Response:
    path = context.uploads_dir / upload["id"]
    first, last, total = _content_range(request)
    persisted = path.stat().st_size if path.exists() else 0
    _check_total(context, upload, (persisted, first, total), request.body)
    if first is not None:
        if first > persisted:
            raise invalid(f"Invalid request. Byte {first} was sent, but only {persisted} bytes have been received.")
        if request.body.complete and last is not None and last - first + 1 != request.body.size:
            raise invalid("Invalid request. The length of the body and of Content-Range differ.")
        persisted = _write_at(path, first, persisted, request.body)
    if total is not None and persisted == total and request.body.complete:
        return _finish(context, request, upload, path)
    return _incomplete(path, persisted)


def _check_total(
    context: StorageContext, upload: sqlite3.Row, spans: tuple[int, int | None, int | None], body: Body
) -> None:
    """Raise 400 unless a piece fits what was announced before; the first total that is named is kept."""
    persisted, first, total = spans
    declared = json.loads(upload["checksums"])
    announced = declared.get("size", total)
    if total is not None and total != announced:
        raise invalid(f"Invalid request. The upload was announced with {announced} bytes, not with {total}.")
    if first is None and body.size:
        raise invalid("Invalid request. The Content-Range names no bytes, but there is a body.")
    end = max(persisted, 0 if first is None else first + body.size)
    if announced is not None and end > announced:
        raise invalid("Invalid request. More bytes were sent than were announced.")
    if first is not None and total is not None and "size" not in declared and end < total:
        with context.database.write() as connection:
            kept = (json.dumps({**declared, "size": total}), upload["id"])
            connection.execute("UPDATE uploads SET checksums=? WHERE id=?", kept)


def _write_at(path: Path, first: int, persisted: int, body: Body) -> int:
    # Bytes that are already here are skipped, as the service does with a piece that is sent again.
    with path.open("r+b" if path.exists() else "w+b", buffering=0) as stream:
        stream.seek(persisted)
        for chunk in body.chunks(persisted - first):
            write_all(stream.fileno(), chunk)
        return max(persisted, stream.tell())


def _incomplete(path: Path, persisted: int) -> Response:
    kept = persisted - persisted % QUANTUM_BYTES
    if kept != persisted:
        with path.open("r+b") as stream:
            stream.truncate(kept)
    headers = {"Range": f"bytes=0-{kept - 1}"} if kept else {}
    return Response(308, b"", headers, content_type=None)


def _finish(context: StorageContext, request: Request, upload: sqlite3.Row, path: Path) -> Response:
    if not path.exists():
        path.touch()
    blob = context.blobs.adopt(path)
    try:
        verify_checksums(blob, {**json.loads(upload["checksums"]), **declared_checksums({}, request.headers)})
    except StorageError:
        context.blobs.remove(blob.id)
        _forget(context, upload)
        raise
    conditions: Preconditions = preconditions_of(json.loads(upload["preconditions"]))
    row = commit_object(
        context,
        upload["bucket"],
        upload["name"],
        blob,
        json.loads(upload["attributes"]),
        conditions,
        upload_id=upload["id"],
    )
    path.unlink(missing_ok=True)
    return json_response(object_resource(row, request.base_url))


def _finished(context: StorageContext, request: Request, upload: sqlite3.Row) -> Response:
    made = json.loads(upload["attributes"])
    if "generation" not in made:  # finished by an earlier version
        made = find_object(context.database.read, upload["bucket"], upload["name"], None)
    return json_response(object_resource(made, request.base_url))


def _cancel(context: StorageContext, upload: sqlite3.Row) -> Response:
    _forget(context, upload)
    return Response(499, b"", content_type=None)


def _forget(context: StorageContext, upload: sqlite3.Row) -> None:
    with context.database.write() as connection:
        connection.execute("DELETE FROM uploads WHERE id=?", (upload["id"],))
    (context.uploads_dir / upload["id"]).unlink(missing_ok=True)


def _content_range(request: Request) -> tuple[int | None, int | None, int | None]:
    header = request.headers.get("content-range")
    if header is None:
        return 0, None, request.body.size if request.body.complete else None
    found = _CONTENT_RANGE.fullmatch(header.strip())
    if not found:
        raise invalid(f"Failed to parse Content-Range header: '{header}'")
    first, last, total = found.groups()
    if first is not None and int(last) < int(first):
        raise invalid(f"Failed to parse Content-Range header: '{header}'")
    return (
        None if first is None else int(first),
        None if last is None else int(last),
        None if total == "*" else int(total),
    )
