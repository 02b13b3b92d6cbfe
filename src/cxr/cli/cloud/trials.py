"""`cxr cloud trials`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.cli.cloud.common import CloudFlags, connection_of, open_journal
from cxr.cli.completions import job_ids
from cxr.cli.options import Json, Quiet, StateDir
from cxr.cli.out import Out
from cxr.errors import UsageError

if TYPE_CHECKING:
    from cxr.cloud.jobs.seen import Trial


def trials(
    job: Annotated[
        str, typer.Argument(help="A tuning job's id, or its beginning; see cxr cloud jobs.", autocompletion=job_ids)
    ],
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the table here, too.")] = None,
    state_dir: StateDir = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """The trials of a tuning job so far, best first.

    Example: cxr cloud trials tune-1a2b3c --csv trials.csv
    """
    from cxr.cloud.jobs.asking import unanswered
    from cxr.cloud.plans.launch import JobKind
    from cxr.cloud.trainer.job import METRIC

    out = Out(json=json, quiet=quiet)
    flags = CloudFlags(state_dir=state_dir)
    settings = flags.settings()
    found = open_journal(settings).find(job)
    if found.kind is not JobKind.TUNE:
        raise UsageError(f"{found.id} is no tuning job", hint="cxr cloud jobs")
    if not found.resource:
        raise unanswered(found)
    connection = connection_of(found, settings, out)
    all_trials = connection.provider.trials(connection, found)
    columns, rows = _table(all_trials, METRIC)
    if rows:
        out.table(columns, rows)
    else:
        out.say("no trial has begun yet")
    if csv is not None:
        _write(csv, columns, rows)
        out.say(f"wrote {csv}")
    if all_trials and all_trials[0].value is not None:
        when = "" if found.finished else f" when {found.id} has ended"
        out.say(f"the best trial's model becomes a bundle{when}")
        out.hint(flags.follow_up(f"cxr cloud {'export' if found.finished else 'wait'} {found.id}"))
    out.result("cloud.trials", {"job": found.id, "metric": METRIC, "trials": [asdict(trial) for trial in all_trials]})


def _table(trials: list[Trial], metric: str) -> tuple[list[str], list[list[object]]]:
    names = list(dict.fromkeys(name for trial in trials for name in trial.parameters))
    rows: list[list[object]] = [
        [
            trial.id,
            trial.state,
            "-" if trial.value is None else f"{trial.value:.4f}",
            *(_short(trial.parameters.get(name, "-")) for name in names),
        ]
        for trial in trials
    ]
    return ["trial", "state", metric, *names], rows


def _short(value: float | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _write(path: Path, columns: list[str], rows: list[list[object]]) -> None:
    import csv

    from cxr.files import atomic_path
    from cxr.spreadsheets import spreadsheet_text

    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        table: list[list[object]] = [[*columns], *rows]
        for row in table:
            writer.writerow([spreadsheet_text(cell) if isinstance(cell, str) else cell for cell in row])
