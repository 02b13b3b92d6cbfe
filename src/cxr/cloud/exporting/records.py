"""What was asked of the service for a job's exports: one small file a job, written before anything is waited for."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from cxr.documents import parse_json
from cxr.files import write_text_atomically


@dataclass(frozen=True, slots=True)
class ExportRecord:
    """One format's export: the model it is of, the operation's name, where it writes, and whether it has ended well."""

    model: str
    operation: str
    url: str
    done: bool = False


class ExportRecords:
    """The exports of one job, by our names of the formats."""

    def __init__(self, folder: Path, job_id: str) -> None:
        self._path = folder / f"{job_id}.json"

    def get(self, name: str) -> ExportRecord | None:
        """What is known of a format's last export."""
        entry = self._read().get(name)
        try:
            return ExportRecord(**entry) if isinstance(entry, dict) else None
        except TypeError:
            return None

    def put(self, name: str, record: ExportRecord) -> None:
        """Write down a format's export."""
        write_text_atomically(self._path, json.dumps({**self._read(), name: asdict(record)}, indent=2) + "\n")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One process at a time decides what is exported: the second finds what the first has begun."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _read(self) -> dict[str, object]:
        # A record that cannot be read costs an export, not the user's patience.
        try:
            known = parse_json(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}
