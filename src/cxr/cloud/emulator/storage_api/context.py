"""What every storage handler works on, and the clock in the service's notation."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from cxr.cloud.emulator.state.blobs import BlobStore
from cxr.cloud.emulator.state.database import Database

#: A row of the table of objects or buckets, as read or as just written.
Row = sqlite3.Row | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StorageContext:
    """The database, the bytes, and the folder of unfinished uploads.

    `buckets` are names known to exist; it is added to and taken from inside write transactions only.
    """

    database: Database
    blobs: BlobStore
    uploads_dir: Path
    buckets: set[str] = field(default_factory=set)


def now_us() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


def rfc3339(microseconds: int) -> str:
    """`2026-11-20T10:46:02.123Z`, as Cloud Storage writes times."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"{_to_the_second(seconds)}.{rest // 1000:03d}Z"


@lru_cache(maxsize=256)
def _to_the_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
