"""SQLite in write-ahead mode: one writer at a time, readers beside it.

A commit survives the death of the process at any moment (kill -9); the last moments before a power cut may be lost
(`synchronous=NORMAL`), never the file's integrity. See https://www.sqlite.org/wal.html.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 1
#: Pages of the database that a connection keeps in memory, in KiB: 100,000 objects fit.
CACHE_KIB = 64 << 10
#: Generations are handed out from memory; this many microseconds of them are reserved in the database at a time.
RESERVED_GENERATIONS = 60_000_000
SCHEMA = """
CREATE TABLE IF NOT EXISTS buckets (
  name TEXT PRIMARY KEY, project TEXT NOT NULL, location TEXT NOT NULL, created_us INTEGER NOT NULL,
  updated_us INTEGER NOT NULL, metageneration INTEGER NOT NULL, attributes TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
  bucket TEXT NOT NULL, name TEXT NOT NULL, generation INTEGER NOT NULL, metageneration INTEGER NOT NULL,
  size INTEGER NOT NULL, crc32c TEXT NOT NULL, md5 TEXT NOT NULL, blob TEXT NOT NULL, created_us INTEGER NOT NULL,
  updated_us INTEGER NOT NULL, attributes TEXT NOT NULL, PRIMARY KEY (bucket, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uploads (
  id TEXT PRIMARY KEY, bucket TEXT NOT NULL, name TEXT NOT NULL, created_us INTEGER NOT NULL,
  attributes TEXT NOT NULL, preconditions TEXT NOT NULL, checksums TEXT NOT NULL, generation INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS resources (
  name TEXT PRIMARY KEY, collection TEXT NOT NULL, serial INTEGER NOT NULL, body TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS resources_by_collection ON resources (collection, serial);
CREATE TABLE IF NOT EXISTS operations (
  name TEXT PRIMARY KEY, parent TEXT NOT NULL, serial INTEGER NOT NULL, kind TEXT NOT NULL, input TEXT NOT NULL,
  body TEXT NOT NULL, done INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS operations_to_do ON operations (done, serial);
CREATE TABLE IF NOT EXISTS data_items (
  dataset TEXT NOT NULL, digest TEXT NOT NULL, serial INTEGER NOT NULL, uri TEXT NOT NULL, label TEXT NOT NULL,
  labels TEXT NOT NULL, PRIMARY KEY (dataset, digest)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS jobs (
  name TEXT PRIMARY KEY, kind TEXT NOT NULL, serial INTEGER NOT NULL, phase TEXT NOT NULL, folder TEXT NOT NULL,
  attempt INTEGER NOT NULL, lost INTEGER NOT NULL, cancel_requested INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS jobs_by_phase ON jobs (phase, serial);
CREATE TABLE IF NOT EXISTS documents (name TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS children (
  child TEXT PRIMARY KEY, parent TEXT NOT NULL, context TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS children_by_parent ON children (parent);
CREATE TABLE IF NOT EXISTS outcomes (serial INTEGER PRIMARY KEY, rule TEXT NOT NULL, fired INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS scripts (
  job TEXT PRIMARY KEY, rule TEXT NOT NULL, preempted INTEGER NOT NULL, since REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""


class Database:
    """One database file, shared by the server's threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._write_lock = threading.Lock()
        self._local = threading.local()
        self._writer = self._connect()
        self._writer.executescript(SCHEMA)
        self._writer.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        self._writer.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        row = self._writer.execute("SELECT value FROM counters WHERE name='generation'").fetchone()
        self._generation = self._reserved = row["value"] if row else 0

    @property
    def read(self) -> sqlite3.Connection:
        """This thread's connection for reading; each statement sees the last commit."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._connect()
            connection.execute("PRAGMA query_only=1")
            self._local.connection = connection
        return connection

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction: committed when the block ends well, rolled back when it raises."""
        with self._write_lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                self._reserved = 0  # the reservation may have been part of what is now undone
                if self._writer.in_transaction:  # some errors, a full disk among them, roll back by themselves
                    self._writer.execute("ROLLBACK")
                raise

    @property
    def is_writing(self) -> bool:
        """Whether a transaction is under way, so that `write` would wait."""
        return self._write_lock.locked()

    def next_generation(self, connection: sqlite3.Connection, moment_us: int) -> int:
        """An object's next generation: above all before it, also across restarts; inside a write transaction."""
        generation = self._generation = max(moment_us, self._generation + 1)
        if generation > self._reserved:
            self._reserved = generation + RESERVED_GENERATIONS
            connection.execute("INSERT OR REPLACE INTO counters VALUES ('generation',?)", (self._reserved,))
        return generation

    def close(self) -> None:
        """Fold the write-ahead log into the database and close."""
        with self._write_lock:
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._writer.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=30)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        return connection


def find_document(connection: sqlite3.Connection, name: str) -> Any:
    """A JSON document that is kept under a name; None when there is none."""
    row = connection.execute("SELECT body FROM documents WHERE name=?", (name,)).fetchone()
    return json.loads(row["body"]) if row else None


def put_document(connection: sqlite3.Connection, name: str, body: Any) -> None:
    """Keep a JSON document under a name; None forgets it. Inside a write transaction."""
    if body is None:
        connection.execute("DELETE FROM documents WHERE name=?", (name,))
    else:
        connection.execute("INSERT OR REPLACE INTO documents VALUES (?,?)", (name, json.dumps(body)))


def next_serial(connection: sqlite3.Connection, counter: str, at_least: int = 1) -> int:
    """The next value of a counter that never repeats, also across restarts; inside a write transaction."""
    row = connection.execute("SELECT value FROM counters WHERE name=?", (counter,)).fetchone()
    value = max(at_least, (row["value"] if row else 0) + 1)
    connection.execute("INSERT OR REPLACE INTO counters VALUES (?,?)", (counter, value))
    return value
