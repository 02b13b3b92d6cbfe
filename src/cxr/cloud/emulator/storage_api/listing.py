"""Listing objects: prefix, delimiter, offsets, pages.

Names are ordered by their UTF-8 bytes, as the service does (SQLite's binary collation of UTF-8 text is the same
order). Source: https://cloud.google.com/storage/docs/json_api/v1/objects/list.
"""

from __future__ import annotations

import base64
import binascii
import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from cxr.cloud.emulator.errors import invalid, storage_unimplemented
from cxr.cloud.emulator.http import Request, Response, json_response
from cxr.cloud.emulator.storage_api.buckets import find_bucket, page_size
from cxr.cloud.emulator.storage_api.context import StorageContext
from cxr.cloud.emulator.storage_api.partial import OBJECT_FIELDS, mask_of
from cxr.cloud.emulator.storage_api.resources import object_resource

LISTING_FIELDS: Mapping[str, Collection[str] | None] = {
    **dict.fromkeys(("kind", "nextPageToken", "prefixes")),
    "items": OBJECT_FIELDS,
}


@dataclass(slots=True)
class _Page:
    rows: list[sqlite3.Row] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    token: str | None = None


def list_objects(context: StorageContext, request: Request, bucket: str) -> Response:
    """GET /storage/v1/b/BUCKET/o."""
    query = request.query
    for name in ("matchGlob", "softDeleted"):
        if query.get(name):
            raise storage_unimplemented(f"objects.list with {name}")
    connection = context.database.read
    find_bucket(connection, bucket)
    start = max(query.get("prefix", ""), query.get("startOffset", ""), key=lambda text: text.encode())
    page = _page(
        connection,
        bucket,
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        start=start,
        end=query.get("endOffset"),
        after=_decoded(query["pageToken"]) if query.get("pageToken") else None,
        limit=page_size(query),
        with_folders=query.get("includeTrailingDelimiter") == "true",
    )
    mask = mask_of(query, LISTING_FIELDS)
    payload: dict[str, Any] = {"kind": "storage#objects"}
    if page.token is not None:
        payload["nextPageToken"] = base64.urlsafe_b64encode(page.token.encode()).decode()
    if page.prefixes:
        payload["prefixes"] = page.prefixes
    if page.rows:
        part = None if mask is None else mask.get("items")
        wanted = mask is None or "items" in mask
        payload["items"] = [object_resource(row, request.base_url, part) for row in page.rows] if wanted else []
    if mask is not None:
        payload = {name: payload[name] for name in mask if name in payload}
    return json_response(payload)


def _page(
    connection: sqlite3.Connection,
    bucket: str,
    *,
    prefix: str,
    delimiter: str,
    start: str,
    end: str | None,
    after: str | None,
    limit: int,
    with_folders: bool,
) -> _Page:
    page = _Page()
    last = after
    if after is not None and delimiter and after.find(delimiter, len(prefix)) == len(after) - len(delimiter) >= 0:
        start, after = successor(after), None  # the page before ended with that common prefix
    while True:
        room = max(0, limit - len(page.rows) - len(page.prefixes))
        for row in _rows(connection, bucket, start, after, room + 1):
            name = row["name"]
            if not name.startswith(prefix) or (end and name.encode() >= end.encode()):
                return page
            if room == 0:
                page.token = last
                return page
            cut = name.find(delimiter, len(prefix)) if delimiter else -1
            room -= 1
            if cut < 0 or (with_folders and cut + len(delimiter) == len(name)):
                page.rows.append(row)
                last = after = name
            if cut >= 0:
                last = name[: cut + len(delimiter)]
                page.prefixes.append(last)
                start, after = successor(last), None
                break  # jump over everything below that common prefix
        else:
            return page


def _rows(connection: sqlite3.Connection, bucket: str, start: str, after: str | None, limit: int) -> sqlite3.Cursor:
    # The cursor is lazy: a caller that stops after the first row has not paid for the others.
    comparison, bound = (">", after) if after is not None else (">=", start)
    query = f"SELECT * FROM objects WHERE bucket=? AND name {comparison} ? ORDER BY name LIMIT ?"  # noqa: S608  (a sign)
    return connection.execute(query, (bucket, bound, limit))


def successor(prefix: str) -> str:
    """The smallest text that is greater than every text with that prefix, in the order of UTF-8 (= code points)."""
    last = ord(prefix[-1])
    if last == 0x10FFFF:
        return prefix + "\U0010ffff" * 4
    following = last + 1
    if 0xD800 <= following <= 0xDFFF:
        following = 0xE000
    return prefix[:-1] + chr(following)


def _decoded(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, UnicodeError):
        raise invalid(f"Invalid page token: '{token}'") from None
