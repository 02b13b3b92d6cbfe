"""`cxr cloud logs`."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cxr.cli.cloud.common import connection_of, open_journal
from cxr.cli.cloud.job_views import settings_of
from cxr.cli.cloud.jobs import JobId
from cxr.cli.options import Json, Quiet, StateDir
from cxr.cli.out import Out
from cxr.errors import Interrupted, NotFound

if TYPE_CHECKING:
    from cxr.cloud.connection import Connection
    from cxr.cloud.jobs.journal import Job, Journal
    from cxr.cloud.jobs.seen import LogLine

#: Longest pause between two readings of a followed log; Cloud Logging permits 60 a minute to a project.
FOLLOW_PAUSE_S = 5.0


def logs(
    job: JobId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends.")] = False,
    trial: Annotated[str, typer.Option("--trial", help="Only this trial of a tuning job.")] = "",
    state_dir: StateDir = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Print what a custom job or the trials of a tuning job have written so far.

    Example: cxr cloud logs custom-1a2b3c --follow
    """
    from cxr.cloud.providers import provider_of

    out = Out(json=json, quiet=quiet)
    settings = settings_of(state_dir)
    journal = open_journal(settings)
    found = journal.find(job)
    provider_of(found.on).check_has_logs(found)
    reader = _Reader(connection_of(found, settings, out), journal, trial, out)
    if follow:
        found = _follow(reader, found)
        out.say(f"{found.id}: {found.state}")
    else:
        reader.read(found)
    if not reader.lines:
        out.say("nothing has been written yet")
    out.result("cloud.logs", {"job": found.id, "state": found.state, "lines": reader.lines})


def _follow(reader: _Reader, job: Job) -> Job:
    from cxr.cloud.jobs.waiting import poll

    try:
        ended = poll(lambda: reader.step(job.id), lambda now: now.finished, longest_pause_s=FOLLOW_PAUSE_S)
    except KeyboardInterrupt:
        again = f"cxr cloud logs {job.id} --follow"
        again += f" --trial {shlex.quote(reader.trial)}" if reader.trial else ""
        raise Interrupted(f"{job.id} goes on without this program", hint=again) from None
    reader.read(ended)  # what it wrote between the last reading and its end
    return ended


class _Reader:
    """Prints each line once, however often the log is read."""

    def __init__(self, connection: Connection, journal: Journal, trial: str, out: Out) -> None:
        self._connection, self._journal, self.trial, self._out = connection, journal, trial, out
        self._shown: set[str] = set()
        self._since = ""
        self.lines: list[dict[str, Any]] = []

    def step(self, job_id: str) -> Job:
        from cxr.cloud.jobs.asking import refresh

        job = refresh(self._connection, self._journal, self._journal.find(job_id))
        if not job.finished:
            self.read(job)
        return job

    def read(self, job: Job) -> None:
        from cxr.cloud.jobs.seen import LOGS_SINCE

        where, since = self._connection, self._since or LOGS_SINCE
        try:
            for line in where.provider.log_lines(where, job, since=since, trial=self.trial):
                key = line.entry or f"{line.at} {line.trial} {line.text}"
                if key not in self._shown:
                    self._shown.add(key)
                    # Entries of the same moment may still come: the next reading begins with it again.
                    self._since = line.at or self._since
                    self._show(line)
        except NotFound:
            if not job.finished:
                raise

    def _show(self, line: LogLine) -> None:
        trial = f"[trial {line.trial}] " if line.trial else ""
        self._out.text(f"{line.at}  {trial}{line.text}")
        self.lines.append({key: value for key, value in asdict(line).items() if key != "entry"})
