"""Vertex resources in the database: insert, find, change, list by page and filter."""

from __future__ import annotations

import base64
import binascii
import json
import sqlite3
import time
from collections.abc import Callable, Mapping
from typing import Any

from cxr.cloud.emulator.errors import Code, RpcError, invalid_argument, not_found, unimplemented
from cxr.cloud.emulator.state.database import next_serial
from cxr.cloud.emulator.vertex_api.filtering import parse_filter
from cxr.cloud.emulator.vertex_api.messages import JsonObject, now

DEFAULT_PAGE = 100
MAX_PAGE = 1000
#: What a listing can be ordered by.
ORDERS = {
    "create_time": "createTime",
    "createTime": "createTime",
    "update_time": "updateTime",
    "updateTime": "updateTime",
    "display_name": "displayName",
    "displayName": "displayName",
}
#: What resources can be filtered by: https://cloud.google.com/vertex-ai/docs/reference/rest (each list method).
COMMON_FIELDS = {
    "name": "name",
    "display_name": "displayName",
    "displayName": "displayName",
    "state": "state",
    "labels": "labels",
    "labels.*": "labels",
    "create_time": "createTime",
    "update_time": "updateTime",
    "start_time": "startTime",
    "end_time": "endTime",
}


def new_id(connection: sqlite3.Connection) -> str:
    """A number of 19 digits that was never given before, as the service's ids are."""
    return str(next_serial(connection, "id", time.time_ns() // 1000) * 997)


def insert(connection: sqlite3.Connection, name: str, collection: str, body: JsonObject) -> None:
    """Store a new resource. Raises 409 ALREADY_EXISTS."""
    try:
        connection.execute(
            "INSERT INTO resources VALUES (?,?,?,?)",
            (name, collection, next_serial(connection, "resource"), json.dumps(body)),
        )
    except sqlite3.IntegrityError:
        raise RpcError(Code.ALREADY_EXISTS, f"{name} already exists.") from None


def find(connection: sqlite3.Connection, name: str) -> JsonObject:
    """A resource's JSON. Raises 404 NOT_FOUND."""
    row = connection.execute("SELECT body FROM resources WHERE name=?", (name,)).fetchone()
    if row is None:
        raise not_found(f"The resource {name!r} does not exist.")
    body: JsonObject = json.loads(row["body"])
    return body


def change(connection: sqlite3.Connection, name: str, edit: Callable[[JsonObject], None]) -> JsonObject:
    """Apply `edit` to a resource and set its update time. Raises 404 NOT_FOUND."""
    body = find(connection, name)
    edit(body)
    body["updateTime"] = now()
    connection.execute("UPDATE resources SET body=? WHERE name=?", (json.dumps(body), name))
    return body


def remove(connection: sqlite3.Connection, name: str) -> None:
    """Forget a resource and all below it."""
    connection.execute("DELETE FROM resources WHERE name=? OR (name > ? AND name < ?)", (name, name + "/", name + "0"))


def list_page(
    connection: sqlite3.Connection,
    collection: str,
    query: Mapping[str, str],
    fields: Mapping[str, str] = COMMON_FIELDS,
) -> tuple[list[JsonObject], str | None]:
    """One page of a collection, newest first or as orderBy says, and the token of the next.

    Raises 400 for a bad filter, size or token, 501 for another order than those of ORDERS.
    """
    if query.get("orderBy"):
        return _ordered_page(connection, collection, query, fields)
    wanted = parse_filter(query.get("filter", ""), fields).matches
    limit = _page_size(query.get("pageSize", "0"))
    before = _serial(query["pageToken"]) if query.get("pageToken") else 2**62
    rows = connection.execute(
        "SELECT serial, body FROM resources WHERE collection=? AND serial<? ORDER BY serial DESC", (collection, before)
    )
    page: list[JsonObject] = []
    last = 0
    for row in rows:
        body = json.loads(row["body"])
        if not wanted(body):
            continue
        if len(page) == limit:
            return page, _token("before", last)
        page.append(body)
        last = row["serial"]
    return page, None


def _ordered_page(
    connection: sqlite3.Connection, collection: str, query: Mapping[str, str], fields: Mapping[str, str]
) -> tuple[list[JsonObject], str | None]:
    key, _, direction = query["orderBy"].strip().partition(" ")
    if key not in ORDERS or direction.strip() not in ("", "asc", "desc"):
        raise unimplemented(f"order_by {query['orderBy']!r}")
    wanted, limit = parse_filter(query.get("filter", ""), fields).matches, _page_size(query.get("pageSize", "0"))
    start = _serial(query["pageToken"], "from") if query.get("pageToken") else 0
    rows = connection.execute("SELECT body FROM resources WHERE collection=? ORDER BY serial", (collection,))
    found = [body for row in rows if wanted(body := json.loads(row["body"]))]
    found.sort(key=lambda body: str(body.get(ORDERS[key], "")), reverse=direction.strip() == "desc")
    end = start + limit
    return found[start:end], _token("from", end) if end < len(found) else None


def listed(key: str, page: tuple[list[JsonObject], str | None]) -> dict[str, Any]:
    """A list response."""
    items, token = page
    payload: dict[str, Any] = {key: items} if items else {}
    if token:
        payload["nextPageToken"] = token
    return payload


def _page_size(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise invalid_argument(f"Invalid page size {text!r}.", field="page_size")
    return min(int(text) or DEFAULT_PAGE, MAX_PAGE)


def _token(kind: str, number: int) -> str:
    return base64.urlsafe_b64encode(f"{kind}:{number}".encode()).decode()


def _serial(token: str, wanted: str = "before") -> int:
    try:
        kind, _, number = base64.urlsafe_b64decode(token.encode()).decode().partition(":")
        if kind == wanted and 0 <= int(number) < 2**63:
            return int(number)
    except (binascii.Error, UnicodeError, ValueError):
        pass
    raise invalid_argument(f"Invalid page token {token!r}.", field="page_token")
