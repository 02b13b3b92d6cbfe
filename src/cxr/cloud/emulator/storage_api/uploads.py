"""Uploads in one request: uploadType=media and uploadType=multipart.

Source: https://cloud.google.com/storage/docs/uploading-objects (JSON API tabs) and RFC 2387 for multipart/related.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cxr.cloud.emulator.errors import StorageError, invalid, storage_unimplemented
from cxr.cloud.emulator.http import Body, Request, Response, json_response, parse_json
from cxr.cloud.emulator.storage_api.attributes import object_attributes
from cxr.cloud.emulator.storage_api.buckets import check_bucket
from cxr.cloud.emulator.storage_api.checksums import declared_checksums, verify_checksums
from cxr.cloud.emulator.storage_api.context import StorageContext
from cxr.cloud.emulator.storage_api.objects import checked_object_name, commit_object
from cxr.cloud.emulator.storage_api.partial import mask_of
from cxr.cloud.emulator.storage_api.preconditions import preconditions_of
from cxr.cloud.emulator.storage_api.resources import object_resource
from cxr.cloud.emulator.storage_api.resumable import continue_upload, start_upload

_HEAD_BYTES = 1 << 20
_BOUNDARY = re.compile(r'boundary="?([^";]+)"?', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Parts:
    metadata: dict[str, Any]
    content_type: str | None
    start: int
    end: int


def upload(context: StorageContext, request: Request, bucket: str) -> Response:
    """/upload/storage/v1/b/BUCKET/o: one object, whole or to be continued."""
    if request.query.get("upload_id"):
        return continue_upload(context, request)
    kind = request.query.get("uploadType")
    if kind == "resumable":
        return start_upload(context, request, bucket)
    if kind not in {"media", "multipart"}:
        raise storage_unimplemented(f"uploadType={kind}")
    if not request.body.complete:
        raise StorageError(400, "badContent", "The request ended before its body did.")
    parts = _multipart(request) if kind == "multipart" else _media(request)
    name = checked_object_name(request.query.get("name") or parts.metadata.get("name"))
    preconditions = preconditions_of(request.query)
    check_bucket(context, bucket)
    attributes = object_attributes(parts.metadata, parts.content_type)
    blob = context.blobs.write(request.body.chunks(parts.start, parts.end))
    try:
        verify_checksums(blob, declared_checksums(parts.metadata, request.headers))
    except StorageError:
        context.blobs.remove(blob.id)
        raise
    row = commit_object(context, bucket, name, blob, attributes, preconditions)
    return json_response(object_resource(row, request.base_url, mask_of(request.query)))


def name_of_insert(request: Request, beginning: bytes) -> str | None:
    """The name of the object that the beginning of an upload is to make; None when it is not there yet."""
    if request.query.get("name"):
        return request.query["name"]
    text = beginning
    if request.query.get("uploadType") == "multipart":
        start = beginning.find(b"\r\n\r\n")
        end = beginning.find(b"\r\n--", start + 4)
        if start < 0 or end < 0:
            return None
        text = beginning[start + 4 : end]
    try:
        name = parse_json(text)["name"]
    except (ValueError, KeyError, TypeError):
        return None
    return name if isinstance(name, str) else None


def _media(request: Request) -> _Parts:
    metadata: dict[str, Any] = {}
    if request.query.get("contentEncoding"):
        metadata["contentEncoding"] = request.query["contentEncoding"]
    return _Parts(metadata, request.headers.get("content-type"), 0, request.body.size)


def _multipart(request: Request) -> _Parts:
    found = _BOUNDARY.search(request.headers.get("content-type", ""))
    if not found:
        raise invalid("Missing multipart boundary in the Content-Type header.")
    delimiter = b"--" + found.group(1).strip("'").encode("latin-1")
    body = request.body
    first = body.find(delimiter, 0, _HEAD_BYTES)
    newline = b"\r\n" if body.read(first + len(delimiter), first + len(delimiter) + 2) == b"\r\n" else b"\n"
    second = body.find(newline + delimiter, first + len(delimiter), _HEAD_BYTES)
    if first < 0 or second < 0:
        raise invalid("Malformed multipart body: the first part has no end.")
    _, text_start = _part_headers(body, first + len(delimiter), newline)
    media_headers, start = _part_headers(body, second + len(newline + delimiter), newline)
    metadata = _metadata(body.read(text_start, second))
    return _Parts(metadata, media_headers.get("content-type"), start, _last_boundary(body, newline + delimiter, start))


def _part_headers(body: Body, start: int, newline: bytes) -> tuple[Mapping[str, str], int]:
    end = body.find(newline * 2, start, start + _HEAD_BYTES)
    if end < 0:
        raise invalid("Malformed multipart body: a part has no headers.")
    headers: dict[str, str] = {}
    for line in body.read(start, end).decode("latin-1").splitlines():
        key, colon, value = line.partition(":")
        if colon:
            headers[key.strip().lower()] = value.strip()
    return headers, end + 2 * len(newline)


def _last_boundary(body: Body, delimiter: bytes, start: int) -> int:
    tail_start = max(start - 4, body.size - len(delimiter) - 64)
    position = body.read(tail_start).rfind(delimiter + b"--")
    if position < 0:
        raise invalid("Malformed multipart body: it does not end with its boundary.")
    return max(start, tail_start + position)


def _metadata(text: bytes) -> dict[str, Any]:
    try:
        value = parse_json(text or b"{}")
    except ValueError:
        raise StorageError(400, "parseError", "Parse Error") from None
    if not isinstance(value, dict):
        raise StorageError(400, "parseError", "Parse Error")
    return value
