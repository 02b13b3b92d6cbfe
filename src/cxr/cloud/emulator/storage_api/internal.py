"""Objects as the emulator's own services read and write them: by gs:// URI, without HTTP."""

from __future__ import annotations

import mimetypes
import sqlite3
from pathlib import Path

from cxr.cloud.emulator.http import CHUNK_BYTES
from cxr.cloud.emulator.storage_api.context import StorageContext
from cxr.cloud.emulator.storage_api.listing import successor
from cxr.cloud.emulator.storage_api.objects import commit_object, live_object
from cxr.cloud.emulator.storage_api.preconditions import Preconditions


def split_uri(uri: str) -> tuple[str, str]:
    """`gs://bucket/name` as (bucket, name). Raises ValueError when it is not one; the scheme is case-sensitive."""
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    if not uri.startswith("gs://") or not bucket:
        raise ValueError(f"{uri!r} is not a gs:// URI")
    return bucket, name


def object_at(context: StorageContext, uri: str) -> sqlite3.Row | None:
    """The live object's row, or None."""
    return live_object(context.database.read, *split_uri(uri))


def bucket_exists(context: StorageContext, bucket: str) -> bool:
    """Whether there is such a bucket."""
    return context.database.read.execute("SELECT 1 FROM buckets WHERE name=?", (bucket,)).fetchone() is not None


def objects_below(context: StorageContext, bucket: str, prefix: str) -> list[sqlite3.Row]:
    """The rows of all objects whose name starts with `prefix`, in order."""
    end = successor(prefix) if prefix else "\U0010ffff"
    rows = context.database.read.execute(
        "SELECT * FROM objects WHERE bucket=? AND name>=? AND name<? ORDER BY name", (bucket, prefix, end)
    )
    return rows.fetchall()


def read_object(context: StorageContext, row: sqlite3.Row) -> bytes:
    """An object's bytes."""
    return b"".join(context.blobs.chunks(row["blob"], row["size"]))


def read_head(context: StorageContext, row: sqlite3.Row, count: int) -> bytes:
    """An object's first bytes."""
    return context.blobs.read(row["blob"], 0, min(count, row["size"]))


def md5_of(context: StorageContext, row: sqlite3.Row) -> str:
    """The md5 of an object's bytes, also of a composed one, which has none among its metadata."""
    return context.blobs.blob_of(read_object(context, row)).md5


def store_file(context: StorageContext, bucket: str, name: str, path: Path) -> None:
    """Make a local file an object. Raises StorageError when there is no such bucket."""
    with path.open("rb") as stream:
        blob = context.blobs.write(iter(lambda: stream.read(CHUNK_BYTES), b""))
    content_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    commit_object(context, bucket, name, blob, {"contentType": content_type}, Preconditions())


def store_anew(context: StorageContext, blob_prefix: str) -> int:
    """Store the objects whose blob's id begins so once more, and remove the old bytes; how many there were.

    An object whose bytes are lost stays as it is.
    """
    rows = context.database.read.execute(
        "SELECT bucket, name, size, blob FROM objects WHERE substr(blob, 1, ?)=?", (len(blob_prefix), blob_prefix)
    )
    moved = []
    with context.database.write() as connection:
        for row in rows.fetchall():
            try:
                data = context.blobs.read(row["blob"], 0, row["size"])
            except FileNotFoundError:
                continue
            blob = context.blobs.keep(context.blobs.blob_of(data))
            connection.execute(
                "UPDATE objects SET blob=? WHERE bucket=? AND name=?", (blob.id, row["bucket"], row["name"])
            )
            moved.append(row["blob"])
    for blob_id in moved:
        context.blobs.remove(blob_id)
    return len(moved)
