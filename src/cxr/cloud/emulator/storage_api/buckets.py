"""Buckets: insert, get, list, patch, delete.

Naming rules: https://cloud.google.com/storage/docs/buckets#naming.
"""

from __future__ import annotations

import ipaddress
import json
import re
import sqlite3
from collections.abc import Mapping
from typing import Any

from cxr.cloud.emulator.errors import StorageError, invalid, no_such_bucket
from cxr.cloud.emulator.http import Request, Response, json_response, parse_json
from cxr.cloud.emulator.state.database import put_document
from cxr.cloud.emulator.storage_api.attributes import bucket_attributes, merged_bucket_attributes
from cxr.cloud.emulator.storage_api.context import StorageContext, now_us
from cxr.cloud.emulator.storage_api.preconditions import preconditions_of, whole_number
from cxr.cloud.emulator.storage_api.resources import bucket_resource

MAX_PAGE = 1000
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_LOCATION = re.compile(r"[A-Z]{2,4}\d?|[A-Z]+-[A-Z]+\d+")


def insert_bucket(context: StorageContext, request: Request) -> Response:
    """POST /storage/v1/b?project=P. 409 when the name is taken, 400 when it is not a bucket name."""
    wanted = json_body(request)
    name = wanted.get("name")
    if not isinstance(name, str) or not valid_bucket_name(name):
        raise invalid(f"Invalid bucket name: '{name}'")
    location = str(wanted.get("location", "US")).upper()
    if not _LOCATION.fullmatch(location):
        raise invalid(f"The specified location constraint is not valid: '{wanted.get('location')}'")
    attributes = bucket_attributes(wanted)
    moment = now_us()
    with context.database.write() as connection:
        if connection.execute("SELECT 1 FROM buckets WHERE name=?", (name,)).fetchone():
            raise StorageError(
                409,
                "conflict",
                "Your previous request to create the named bucket succeeded and you already own it.",
            )
        connection.execute(
            "INSERT INTO buckets VALUES (?,?,?,?,?,1,?)",
            (name, request.query.get("project", ""), location, moment, moment, json.dumps(attributes)),
        )
        row = find_bucket(connection, name)
    return json_response(bucket_resource(row, request.base_url))


def get_bucket(context: StorageContext, request: Request, name: str) -> Response:
    """GET /storage/v1/b/BUCKET."""
    row = find_bucket(context.database.read, name)
    preconditions_of(request.query).check(row, reading=True)
    return json_response(bucket_resource(row, request.base_url))


def list_buckets(context: StorageContext, request: Request) -> Response:
    """GET /storage/v1/b?project=P, with prefix and paging."""
    prefix, after = request.query.get("prefix", ""), request.query.get("pageToken", "")
    limit = page_size(request.query)
    rows = context.database.read.execute(
        "SELECT * FROM buckets WHERE name > ? AND project IN (?, '') ORDER BY name",
        (after, request.query.get("project", "")),
    ).fetchall()
    rows = [row for row in rows if row["name"].startswith(prefix)]
    page: dict[str, Any] = {
        "kind": "storage#buckets",
        "items": [bucket_resource(row, request.base_url) for row in rows[:limit]],
    }
    if len(rows) > limit:
        page["nextPageToken"] = rows[limit - 1]["name"]
    return json_response(page)


def patch_bucket(context: StorageContext, request: Request, name: str) -> Response:
    """PATCH /storage/v1/b/BUCKET."""
    wanted = json_body(request)
    with context.database.write() as connection:
        row = find_bucket(connection, name)
        preconditions_of(request.query).check(row)
        attributes = merged_bucket_attributes(json.loads(row["attributes"]), wanted)
        connection.execute(
            "UPDATE buckets SET attributes=?, metageneration=metageneration+1, updated_us=? WHERE name=?",
            (json.dumps(attributes), now_us(), name),
        )
        row = find_bucket(connection, name)
    return json_response(bucket_resource(row, request.base_url))


def delete_bucket(context: StorageContext, request: Request, name: str) -> Response:
    """DELETE /storage/v1/b/BUCKET. 409 while it holds objects."""
    with context.database.write() as connection:
        row = find_bucket(connection, name)
        preconditions_of(request.query).check(row)
        if connection.execute("SELECT 1 FROM objects WHERE bucket=? LIMIT 1", (name,)).fetchone():
            raise StorageError(409, "conflict", "The bucket you tried to delete is not empty.")
        context.buckets.discard(name)
        connection.execute("DELETE FROM buckets WHERE name=?", (name,))
        put_document(connection, policy_name(name), None)
    return Response(204, content_type=None)


def find_bucket(connection: sqlite3.Connection, name: str) -> sqlite3.Row:
    """A bucket's row. Raises 404."""
    row: sqlite3.Row | None = connection.execute("SELECT * FROM buckets WHERE name=?", (name,)).fetchone()
    if row is None:
        raise no_such_bucket()
    return row


def check_bucket(context: StorageContext, name: str, writer: sqlite3.Connection | None = None) -> None:
    """Raise 404 unless the bucket exists. With the connection of a write transaction it is remembered."""
    if name in context.buckets:
        return
    find_bucket(writer or context.database.read, name)
    if writer is not None:
        context.buckets.add(name)


def policy_name(bucket: str) -> str:
    """Under which name a bucket's access policy is kept."""
    return f"storage/b/{bucket}/iam"


def valid_bucket_name(name: str) -> bool:
    """Whether Cloud Storage would accept the name."""
    if not _NAME.fullmatch(name) or ".." in name or name.startswith("goog") or "google" in name:
        return False
    if any(len(part) > 63 for part in name.split(".")) or ("." not in name and len(name) > 63):
        return False
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return True
    return False


def json_body(request: Request) -> dict[str, Any]:
    """The request's JSON object. Raises 400."""
    try:
        value = parse_json(request.body.read() or b"{}")
    except ValueError:
        raise StorageError(400, "parseError", "Parse Error") from None
    if not isinstance(value, dict):
        raise StorageError(400, "parseError", "Parse Error")
    return value


def page_size(query: Mapping[str, str]) -> int:
    """maxResults, at most 1,000. Raises 400 when it is not a positive number."""
    wanted = whole_number(query.get("maxResults", str(MAX_PAGE)), "maxResults")
    if wanted <= 0:
        raise invalid(f"Invalid unsigned integer value: '{wanted}'.")
    return min(wanted, MAX_PAGE)
