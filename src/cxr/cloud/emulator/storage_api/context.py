"""What every storage handler works on, and the clock in the service's notation."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cxr.cloud.emulator.state.blobs import BlobStore
from cxr.cloud.emulator.state.database import Database


@dataclass(frozen=True, slots=True)
class StorageContext:
    """The database, the bytes, and the folder of unfinished uploads."""

    database: Database
    blobs: BlobStore
    uploads_dir: Path


def now_us() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


def rfc3339(microseconds: int) -> str:
    """`2026-11-20T10:46:02.123Z`, as Cloud Storage writes times."""
    moment = datetime.fromtimestamp(microseconds / 1e6, tz=UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
