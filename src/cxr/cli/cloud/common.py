"""What the cloud commands share: resolving settings, showing a plan, the journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cxr.cli.out import Out
from cxr.settings import Settings, Target, load_settings

if TYPE_CHECKING:
    from cxr.cloud.connection import Connection
    from cxr.cloud.journal import Job, Journal


def settings_from(
    on: str | None,
    project: str | None,
    region: str | None,
    bucket: str | None,
    prefix: str | None,
    state_dir: Path | None,
) -> Settings:
    """cxr.toml, then the environment, then these flags."""
    return load_settings(
        {"on": on, "project": project, "region": region, "bucket": bucket, "prefix": prefix, "state_dir": state_dir}
    )


def open_connection(settings: Settings, out: Out) -> Connection:
    """Connect, saying so when the emulator has to be started first."""
    from cxr.cloud.connection import connect

    if settings.on is Target.EMULATOR:
        from cxr.cloud.emulator.process import running_url

        if running_url(settings.emulator_dir) is None:
            out.say("starting the emulator (nothing leaves this machine; stop it with: cxr emulator stop)")
    return connect(settings)


def open_journal(settings: Settings) -> Journal:
    """The journal of this working folder."""
    from cxr.cloud.journal import Journal

    return Journal(settings.journal_path)


def connection_of(job: Job, settings: Settings, out: Out) -> Connection:
    """The place where a job was launched, whatever the settings say now."""
    there = replace(settings, on=job.on, project=job.project, region=job.region, bucket=job.bucket, prefix=job.prefix)
    return open_connection(there, out)


def show_plan(out: Out, title: str, rows: Sequence[tuple[str, str]], notes: Sequence[str] = ()) -> None:
    """A plan as a table; notes go to stderr."""
    out.table(("plan", title), rows)
    for note in notes:
        out.say(f"note: {note}")
