"""Downloads: whole objects and single byte ranges (RFC 9110, section 14)."""

from __future__ import annotations

import gzip
import json
import re
import sqlite3
import zlib
from typing import Any

from cxr.cloud.emulator.errors import StorageError
from cxr.cloud.emulator.http import FileSlice, Request, Response
from cxr.cloud.emulator.state.blobs import SMALL_BYTES
from cxr.cloud.emulator.storage_api.context import StorageContext
from cxr.cloud.emulator.storage_api.objects import find_object
from cxr.cloud.emulator.storage_api.preconditions import preconditions_of
from cxr.cloud.emulator.storage_api.resources import etag

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def download(context: StorageContext, request: Request, bucket: str, name: str) -> Response:
    """GET …/o/OBJECT?alt=media. 206 for a range, 416 for one that lies outside."""
    while True:
        row = find_object(context.database.read, bucket, name, request.query.get("generation"))
        try:
            return _response(context, request, row)
        except FileNotFoundError:
            # Replaced or deleted between the look-up and the reading: look again, unless it is really lost.
            again = find_object(context.database.read, bucket, name, request.query.get("generation"))
            if again["blob"] == row["blob"]:
                raise StorageError(500, "backendError", f"The bytes of {bucket}/{name} are missing.") from None


def _response(context: StorageContext, request: Request, row: sqlite3.Row) -> Response:
    preconditions_of(request.query).check(row, reading=True)
    if is_transcoded(request, row):
        return _gunzipped(context, row)
    span = byte_range(request.headers.get("range"), row["size"])
    headers = _headers(row)
    start, length = span if span is not None else (0, row["size"])
    if span is not None:
        headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{row['size']}"
    status = 200 if span is None else 206
    content_type = json.loads(row["attributes"]).get("contentType")
    if request.method == "HEAD":
        return Response(status, b"", {**headers, "Content-Length": str(length)}, content_type)
    if length > SMALL_BYTES:
        return Response(status, _slice(context, row, start, length), headers, content_type)
    return Response(status, context.blobs.read(row["blob"], start, length), headers, content_type)


def is_transcoded(request: Request, row: sqlite3.Row) -> bool:
    """Whether what is stored as gzip goes out without: to who does not take gzip, unless it says no-transform.

    Source: https://cloud.google.com/storage/docs/transcoding
    """
    attributes = json.loads(row["attributes"])
    takes = {part.partition(";")[0].strip() for part in request.headers.get("accept-encoding", "").split(",")}
    return (
        attributes.get("contentEncoding") == "gzip"
        and "gzip" not in takes
        and "no-transform" not in attributes.get("cacheControl", "")
    )


def _gunzipped(context: StorageContext, row: sqlite3.Row) -> Response:
    """The whole of it: a range of what is not stored cannot be asked for, and is ignored."""
    try:
        body = gzip.decompress(context.blobs.read(row["blob"], 0, row["size"]))
    except (OSError, EOFError, zlib.error):
        raise StorageError(503, "backendError", "The object's content is not the gzip that it is said to be.") from None
    headers = _headers(row)
    del headers["Content-Encoding"], headers["Accept-Ranges"]
    headers["Warning"] = "214 UploadServer gunzipped"
    content_type = json.loads(row["attributes"]).get("contentType")
    return Response(200, body, headers, content_type)


def _slice(context: StorageContext, row: sqlite3.Row, start: int, length: int) -> FileSlice:
    return FileSlice(context.blobs.open(row["blob"], start + length), start, length)


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """(start, length) of a Range header over `size` bytes; None when the whole is to be sent.

    A header that is not one range of bytes is ignored, as RFC 9110 says; one that lies outside raises 416.
    """
    found = _RANGE.fullmatch(header.strip()) if header else None
    if not found or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        length = min(_position(last), size)
        start = size - length
    else:
        start = _position(first)
        if last and _position(last) < start:
            return None
        length = (min(_position(last), size - 1) if last else size - 1) - start + 1
    if length <= 0:
        headers = {"Content-Range": f"bytes */{size}"}
        raise StorageError(416, "requestedRangeNotSatisfiable", "Request range not satisfiable", headers=headers)
    return start, length


def _position(digits: str) -> int:
    return int(digits) if len(digits) < 19 else 1 << 63


def _headers(row: sqlite3.Row) -> dict[str, str]:
    attributes: dict[str, Any] = json.loads(row["attributes"])
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": etag(row),
        "X-Goog-Generation": str(row["generation"]),
        "X-Goog-Metageneration": str(row["metageneration"]),
        "X-Goog-Hash": f"crc32c={row['crc32c']}" + (f",md5={row['md5']}" if row["md5"] else ""),
        "X-Goog-Storage-Class": attributes.get("storageClass", "STANDARD"),
        "X-Goog-Stored-Content-Length": str(row["size"]),
        "X-Goog-Stored-Content-Encoding": attributes.get("contentEncoding", "identity"),
    }
    for attribute, header in (
        ("contentEncoding", "Content-Encoding"),
        ("contentDisposition", "Content-Disposition"),
        ("contentLanguage", "Content-Language"),
        ("cacheControl", "Cache-Control"),
    ):
        if attribute in attributes:
            headers[header] = attributes[attribute]
    return headers
