"""Objects at their own addresses, as browsers ask for them: /BUCKET/OBJECT.

Who brings no token sees what the bucket's policy shows to everybody. What a bucket says of itself as a website (main
page, error page) is kept and changes nothing here, as at storage.googleapis.com: it counts at a name of one's own only,
and requests to other names than this machine's are refused.

Sources: https://cloud.google.com/storage/docs/xml-api/get-object-download, …/docs/static-website and
…/docs/metadata#cache-control (what is said of caching where the object says nothing).
"""

from __future__ import annotations

import json
from email.utils import formatdate
from urllib.parse import unquote

from cxr.cloud.emulator.errors import StorageError, XmlError, storage_unimplemented
from cxr.cloud.emulator.http import Request, Response
from cxr.cloud.emulator.storage_api.buckets import find_bucket
from cxr.cloud.emulator.storage_api.context import Row, StorageContext
from cxr.cloud.emulator.storage_api.downloads import download
from cxr.cloud.emulator.storage_api.iam import is_public
from cxr.cloud.emulator.storage_api.objects import live_object
from cxr.cloud.emulator.storage_api.resources import etag

_READING = frozenset({"GET", "HEAD"})
_DENIED = "Anonymous caller does not have storage.objects.get access to the Google Cloud Storage object."


def is_address(context: StorageContext, request: Request) -> bool:
    """Whether a path that no API knows begins with the name of a bucket."""
    return request.method in _READING and _bucket(context, request.segments[0]) is not None


def serve_object(context: StorageContext, request: Request) -> Response:
    """GET /BUCKET/OBJECT. 403 when the object is not public and the request has no token, 404 when there is none."""
    bucket, _, name = unquote(request.raw_path).lstrip("/").partition("/")
    if not name:
        raise storage_unimplemented(f"{request.method} {request.raw_path}: the XML API's listing of a bucket")
    return _served(context, request, bucket, name)


def _served(context: StorageContext, request: Request, bucket: str, name: str) -> Response:
    connection = context.database.read
    everybody = is_public(connection, find_bucket(connection, bucket))
    if not everybody and "authorization" not in request.headers:
        raise XmlError(403, "AccessDenied", "Access denied.", _DENIED)
    row = live_object(connection, bucket, name)
    if row is None:
        raise XmlError(404, "NoSuchKey", "The specified key does not exist.", f"No such object: {bucket}/{name}")
    tag = f'"{etag(row)}"'
    headers = {
        "Cache-Control": "public, max-age=3600" if everybody else "private, max-age=0",
        "Last-Modified": formatdate(row["updated_us"] / 1e6, usegmt=True),
    }
    if "contentEncoding" in json.loads(row["attributes"]):
        headers["Vary"] = "Accept-Encoding"
    if tag in {text.strip() for text in request.headers.get("if-none-match", "").split(",")}:
        return Response(304, b"", {**headers, "ETag": tag}, None)
    try:
        answer = download(context, request, bucket, name)
    except StorageError as error:
        raise XmlError(error.status, error.reason, error.message) from None
    return Response(answer.status, answer.body, {**headers, **answer.headers, "ETag": tag}, answer.content_type)


def _bucket(context: StorageContext, name: str) -> Row | None:
    row: Row | None = context.database.read.execute("SELECT * FROM buckets WHERE name=?", (name,)).fetchone()
    return row
