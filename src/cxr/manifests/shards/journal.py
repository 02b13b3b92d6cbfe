"""What an unfinished run has done so far, so that the next one goes on: a file of JSON lines that only grows."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, TextIO

from cxr.documents import parse_json
from cxr.errors import Fault, InputError
from cxr.manifests.shards.index import ShardEntry, entry_from_json

JOURNAL_NAME: Final = ".shards.jsonl"


class ShardJournal:
    """The journal of one folder: its first line names the plan, each further line one finished shard."""

    def __init__(self, stream: TextIO, path: Path) -> None:
        self._stream = stream
        self._path = path
        self._lock = threading.Lock()

    def begin(self, plan: str, entries: Sequence[ShardEntry]) -> None:
        """Start anew, with the shards that are kept."""
        try:
            self._stream.seek(0)
            self._stream.truncate()
            self._put({"plan": plan})
            for entry in entries:
                self._put(asdict(entry))
        except OSError as error:
            raise Fault(f"cannot write {self._path}: {error.strerror or error}") from error

    def add(self, entry: ShardEntry) -> None:
        """Note a finished shard, from any thread. Raises Fault when the disk refuses."""
        try:
            with self._lock:
                self._put(asdict(entry))
        except OSError as error:
            raise Fault(f"cannot write {self._path}: {error.strerror or error}") from error

    def remove(self) -> None:
        """The run is finished: the index takes over."""
        self._path.unlink(missing_ok=True)

    def _put(self, line: dict[str, Any]) -> None:
        self._stream.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._stream.flush()


@contextmanager
def locked_journal(folder: Path) -> Iterator[ShardJournal]:
    """The folder's journal, held by one process at a time. Raises InputError when another run holds it."""
    path = folder / JOURNAL_NAME
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    with os.fdopen(descriptor, "r+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(
                f"another `cxr data shard` is writing into {folder}", hint="wait for it, or name another --out"
            ) from None
        yield ShardJournal(stream, path)


def read_journal(folder: Path) -> tuple[str, list[ShardEntry]] | None:
    """The plan and the finished shards of an unfinished run; None when there is no journal to go on from.

    A torn last line (the run was killed while writing it) is left out.
    """
    try:
        first, *lines = (folder / JOURNAL_NAME).read_text(encoding="utf-8", errors="replace").splitlines() or [""]
        plan = str(parse_json(first)["plan"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    entries = []
    for line in lines:
        try:
            entries.append(entry_from_json(parse_json(line)))
        except (ValueError, KeyError, TypeError):
            break
    return plan, entries
