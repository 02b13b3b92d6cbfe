"""Jobs that belong to another job: the trials of a tuning, the custom job behind a training pipeline."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any


def add_child(connection: sqlite3.Connection, parent: str, child: str, context: Mapping[str, Any]) -> None:
    """Note that a job belongs to another; `context` is what the owner wants to know of it again."""
    connection.execute("INSERT INTO children VALUES (?,?,?)", (child, parent, json.dumps(context)))


def owner_of(connection: sqlite3.Connection, child: str) -> tuple[str, dict[str, Any]] | None:
    """(the name of the job that a job belongs to, the child's context); None when it belongs to nobody."""
    row = connection.execute("SELECT parent, context FROM children WHERE child=?", (child,)).fetchone()
    return None if row is None else (row["parent"], json.loads(row["context"]))


def unfinished_children(connection: sqlite3.Connection, parent: str) -> list[str]:
    """The names of the children that have not ended, oldest first."""
    rows = connection.execute(
        "SELECT child FROM children JOIN jobs ON jobs.name=child WHERE parent=? AND phase<>'done' ORDER BY serial",
        (parent,),
    )
    return [row["child"] for row in rows]


def are_being_cancelled(connection: sqlite3.Connection, names: Sequence[str]) -> bool:
    """Whether the end of all these jobs has been asked for."""
    marks = ",".join("?" * len(names))
    query = f"SELECT 1 FROM jobs WHERE name IN ({marks}) AND cancel_requested=0 LIMIT 1"  # noqa: S608  (only marks)
    return connection.execute(query, list(names)).fetchone() is None
