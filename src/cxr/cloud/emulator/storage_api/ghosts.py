"""PUT /_emulator/ghosts: many objects at once whose bytes are made as they are read. A simulation of a large bucket:
listing, metadata, downloads and imports are as of any other object, only nobody has sent them, and they take no disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from cxr.cloud.emulator.errors import StorageError, invalid, no_such_object
from cxr.cloud.emulator.http import Request, Response, json_response
from cxr.cloud.emulator.state.blobs import SMALL_BYTES
from cxr.cloud.emulator.state.ghosts import Ghost, GhostSums
from cxr.cloud.emulator.storage_api.buckets import check_bucket, json_body
from cxr.cloud.emulator.storage_api.context import StorageContext, now_us
from cxr.cloud.emulator.storage_api.internal import read_object
from cxr.cloud.emulator.storage_api.objects import checked_object_name, live_object

PATH = ("_emulator", "ghosts")
#: In one request: it is answered when they are all there.
MOST_AT_ONCE = 1_000_000
PLACE = "{number}"
DIGITS = 8
#: Objects in one transaction: other requests come between.
_BATCH = 5_000


@dataclass(frozen=True, slots=True)
class _Wanted:
    bucket: str
    name: str
    like: str
    count: int
    first: int

    def names(self) -> Iterator[tuple[int, str]]:
        for number in range(self.first, self.first + self.count):
            yield number, self.name.replace(PLACE, f"{number:0{DIGITS}d}")


def make_ghosts(context: StorageContext, request: Request) -> Response:
    """`{"bucket", "like", "name", "count", "first"}`: `count` objects by the pattern `name`, in which {number} (eight
    digits, from `first` on) stands once, each like the object `like` and eight bytes more. Objects that are there stay.

    Answers `{"made"}`. Raises 400, 404.
    """
    if request.method != "PUT":
        raise StorageError(405, "methodNotAllowed", "Method Not Allowed")
    wanted = _wanted(json_body(request))
    connection = context.database.read
    check_bucket(context, wanted.bucket)
    like = live_object(connection, wanted.bucket, wanted.like)
    if like is None:
        raise no_such_object(wanted.bucket, wanted.like)
    if like["size"] > SMALL_BYTES - 8:
        raise invalid(f"'{wanted.like}' is too large to be made on the way: at most {SMALL_BYTES - 8} bytes.")
    data = read_object(context, like)
    template, sums = context.blobs.store_template(data), GhostSums(data)
    made, numbers = 0, wanted.names()
    while batch := list(islice(numbers, _BATCH)):
        with context.database.write() as writer:
            check_bucket(context, wanted.bucket, writer)
            made += _insert(context, writer, wanted.bucket, batch, template, sums, like["attributes"])
    return json_response({"made": made})


def _insert(
    context: StorageContext,
    connection: sqlite3.Connection,
    bucket: str,
    batch: list[tuple[int, str]],
    template: str,
    sums: GhostSums,
    attributes: str,
) -> int:
    before, moment, rows = connection.total_changes, now_us(), []
    for number, name in batch:
        ghost = Ghost(number, template)
        generation = context.database.next_generation(connection, moment)
        rows.append((bucket, name, generation, 1, sums.size, *sums.of(ghost), str(ghost), moment, moment, attributes))
    reserved = connection.total_changes - before
    connection.executemany("INSERT OR IGNORE INTO objects VALUES (?,?,?,?,?,?,?,?,?,?,?)", rows)
    return connection.total_changes - before - reserved


def _wanted(document: dict[str, Any]) -> _Wanted:
    unknown = set(document) - {"bucket", "name", "like", "count", "first"}
    if unknown:
        raise invalid(f"Unknown field '{min(unknown)}'.")
    texts = {key: document.get(key) for key in ("bucket", "name", "like")}
    numbers = {key: document.get(key, 0) for key in ("count", "first")}
    for key, text in texts.items():
        if not isinstance(text, str) or not text:
            raise invalid(f"'{key}' must be a text.")
    for key, number in numbers.items():
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise invalid(f"'{key}' must be a whole number.")
    wanted = _Wanted(**{**texts, **numbers})
    if wanted.name.count(PLACE) != 1:
        raise invalid(f"'name' must have {PLACE} in it, once.")
    if not 1 <= wanted.count <= MOST_AT_ONCE or wanted.first + wanted.count > 10**DIGITS:
        raise invalid(f"'count' must be 1 to {MOST_AT_ONCE:,}, and no number may have more than {DIGITS} digits.")
    checked_object_name(wanted.name.replace(PLACE, "0" * DIGITS))
    return wanted
