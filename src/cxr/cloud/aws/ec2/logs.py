"""A job's log, which its machine sends to the bucket each minute and at its end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from cxr.cloud.aws.ec2.machines import describe
from cxr.cloud.connection import Connection
from cxr.cloud.jobs.journal import Job
from cxr.cloud.jobs.seen import LOGS_SINCE, LogLine
from cxr.errors import NotFound

LOG_FILE = "logs/trainer.log"


def log_lines(connection: Connection, job: Job, *, since: str = LOGS_SINCE) -> Iterator[LogLine]:
    """Every line that was sent so far, oldest first, from the time `since` on; nothing before the first minute."""
    first = _moment(since)
    for line in _read(connection, job):
        moment = _moment(line.at)
        if first is None or moment is None or moment >= first:
            yield line


def last_lines(connection: Connection, job: Job, count: int) -> list[LogLine]:
    """The last `count` lines, oldest first."""
    return _read(connection, job)[-count:] if count > 0 else []


def _read(connection: Connection, job: Job) -> list[LogLine]:
    url = job.output_url or describe(connection, job.resource).output_url
    try:
        text = connection.open(url).get_bytes(LOG_FILE).decode("utf-8", errors="replace")
    except NotFound:
        return []
    lines: list[LogLine] = []
    for number, line in enumerate(text.splitlines(), start=1):
        at, _, words = line.partition(" ")
        if _moment(at) is None:
            at, words = lines[-1].at if lines else "", line
        lines.append(LogLine(at, words, entry=str(number)))
    return lines


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
