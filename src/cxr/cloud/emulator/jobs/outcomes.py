"""Scripted outcomes in the database: rules in force, and the script of each job that one of them was for.

A rule is applied when a job is created, so that what happens to a job does not change under it; both are on disk and
survive a restart.
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cxr.cloud.emulator.errors import Code, RpcError
from cxr.cloud.emulator.jobs.outcome_rules import DEFAULT_MESSAGE, Rule, rule_of, rules_of

#: How often the service starts a preempted job again, at most.
MAX_RESTARTS = 6
SPOT_STRATEGIES = ("SPOT", "LOW_COST")


@dataclass(frozen=True, slots=True)
class Script:
    """What is to happen to one job. `since`: seconds since 1970 when it was created, or (a job of jobs) began."""

    outcome: str
    seconds: float | None
    error: RpcError
    count: int
    replica: str | None
    checkpoints: int
    preempted: int
    since: float

    @property
    def preempts(self) -> bool:
        """Whether the job is to be preempted once more."""
        return self.outcome == "preempt" and self.preempted < self.count

    def is_due(self, elapsed: float | None) -> bool:
        """Whether so many seconds are long enough."""
        return elapsed is not None and elapsed >= (self.seconds or 0.0)


def replace_rules(connection: sqlite3.Connection, document: object) -> None:
    """Put other rules in force; jobs that exist keep their scripts. Raises OutcomeError, and then nothing changes."""
    rules = rules_of(document)
    connection.execute("DELETE FROM outcomes")
    connection.executemany(
        "INSERT INTO outcomes VALUES (?,?,0)",
        [(index, json.dumps(rule.document)) for index, rule in enumerate(rules)],
    )


def clear_rules(connection: sqlite3.Connection) -> None:
    """No rules, and no scripts: what was stuck goes on."""
    connection.execute("DELETE FROM outcomes")
    connection.execute("DELETE FROM scripts")


def document_of(connection: sqlite3.Connection) -> dict[str, Any]:
    """The rules in force, each with how often it was applied."""
    rows = connection.execute("SELECT rule, fired FROM outcomes ORDER BY serial")
    return {"rules": [{**json.loads(row["rule"]), "fired": row["fired"]} for row in rows]}


def assign(connection: sqlite3.Connection, name: str) -> None:
    """Give a new job its script, if a rule is for it; inside the transaction that creates it."""
    row = connection.execute("SELECT body FROM resources WHERE name=?", (name,)).fetchone()
    if row is None:
        return
    body = json.loads(row["body"])
    rule = _take(connection, name.split("/")[-2], body)
    if rule is not None:
        connection.execute(
            "INSERT OR REPLACE INTO scripts VALUES (?,?,0,?)", (name, json.dumps(rule.document), time.time())
        )


def script_of(connection: sqlite3.Connection, name: str) -> Script | None:
    """What is to happen to a job; None when nothing is."""
    row = connection.execute("SELECT * FROM scripts WHERE job=?", (name,)).fetchone()
    if row is None:
        return None
    rule = json.loads(row["rule"])
    seconds = rule.get("seconds")
    return Script(
        outcome=rule["outcome"],
        seconds=None if seconds is None else float(seconds),
        error=_error(rule, name),
        count=int(rule.get("count") or 1),
        replica=rule.get("replica"),
        checkpoints=int(rule.get("checkpoints") or 0),
        preempted=row["preempted"],
        since=row["since"],
    )


def count_preemption(connection: sqlite3.Connection, name: str) -> None:
    """A job was preempted once more."""
    connection.execute("UPDATE scripts SET preempted=preempted+1 WHERE job=?", (name,))


def begin_now(connection: sqlite3.Connection, name: str) -> None:
    """A job of jobs begins: its seconds are counted from here."""
    connection.execute("UPDATE scripts SET since=? WHERE job=?", (time.time(), name))


@dataclass(frozen=True, slots=True)
class ImportScript:
    """What is to go wrong with one import: the whole of it (`error`), or the rows whose image fits one of `rows`."""

    error: RpcError | None
    rows: tuple[re.Pattern[str], ...]
    row_error: RpcError

    def refuses(self, uri: str) -> bool:
        """Whether this image is not to be imported."""
        return any(pattern.search(uri) for pattern in self.rows)


def import_script(connection: sqlite3.Connection, dataset: Mapping[str, Any]) -> ImportScript | None:
    """The script of an import into a dataset; taking it counts. Inside a write transaction."""
    rule = _take(connection, "datasets", dataset)
    if rule is None:
        return None
    error = _error(rule.document, str(dataset["name"]))
    patterns = tuple(re.compile(row) for row in rule.document.get("rows", []))
    return ImportScript(error if rule.outcome == "fail" else None, patterns, error)


def _take(connection: sqlite3.Connection, collection: str, body: Mapping[str, Any]) -> Rule | None:
    for serial, fired, rule in _rules(connection):
        spent = rule.times is not None and fired >= rule.times
        if spent or not rule.fits(collection, body) or (rule.outcome == "preempt" and not _is_spot(body)):
            continue
        connection.execute("UPDATE outcomes SET fired=fired+1 WHERE serial=?", (serial,))
        return rule
    return None


def _rules(connection: sqlite3.Connection) -> Iterator[tuple[int, int, Rule]]:
    for row in connection.execute("SELECT serial, rule, fired FROM outcomes ORDER BY serial").fetchall():
        yield row["serial"], row["fired"], rule_of(json.loads(row["rule"]), "rule")


def _is_spot(body: Mapping[str, Any]) -> bool:
    return body.get("jobSpec", {}).get("scheduling", {}).get("strategy") in SPOT_STRATEGIES


def _error(rule: Mapping[str, Any], name: str) -> RpcError:
    if rule["outcome"] == "stockout":
        region = name.split("/")[3]
        return RpcError(
            Code.RESOURCE_EXHAUSTED,
            f"Resources are insufficient in region: {region}. Please try a different region.",
        )
    if rule["outcome"] == "preempt":
        return RpcError(Code.UNAVAILABLE, "The job was preempted, and is not restarted any more.")
    usual = "INVALID_ARGUMENT" if rule["outcome"] == "import-failures" else "INTERNAL"
    return RpcError(Code[rule.get("code") or usual], rule.get("message") or DEFAULT_MESSAGE)
