"""What the job commands share: a job as JSON and as rows, and why it failed."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cxr.cli.cloud.common import CloudFlags, connection_of
from cxr.cli.out import Out
from cxr.errors import CxrError
from cxr.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from cxr.cloud.failures.explaining import Explanation
    from cxr.cloud.jobs.journal import Job


def settings_of(state_dir: Path | None) -> Settings:
    """The settings with this state folder."""
    return CloudFlags(state_dir=state_dir).settings()


def as_json(job: Job) -> dict[str, Any]:
    """A job with its outlook, and why it failed. `cost_usd` is by the price table, also where nothing is billed."""
    from cxr.cloud.failures.explaining import explain
    from cxr.cloud.jobs.progress import outlook

    seen = outlook(job, datetime.now(UTC))
    failed = explain(job) if job.finished and not job.succeeded else None
    return {
        **asdict(job),
        "elapsed_s": seen.elapsed_s,
        "left_s": seen.left_s,
        "left_is_at_most": seen.left_at_most,
        "cost_usd": None if seen.cost_usd is None else round(seen.cost_usd, 4),
        "billed": job.on.billed,
        "why": None if failed is None else {"cause": failed.cause, "words": failed.words, "next": failed.next_step},
    }


def rows_of(job: Job) -> list[tuple[str, str]]:
    """What is known of one job, for people."""
    from cxr.cloud.jobs.progress import status_words

    plain = [
        ("kind", str(job.kind)),
        ("on", str(job.on)),
        ("state", status_words(job, datetime.now(UTC))),
        ("resource", job.resource),
        ("launched", f"{job.created}{' (attached)' if job.attached else ''}"),
        ("started", job.started),
        ("ended", job.ended),
        ("manifest", job.manifest_hash[:16]),
        ("output", str(job.progress.get("output_directory", job.output_url))),
        ("model", job.model),
        ("exported to", job.exported_to),
        ("cleaned up", job.cleaned),
        ("error", job.error),
    ]
    asked = [(key.replace("_", " "), value) for key, value in job.details.items()]
    plain += [(key, str(value)) for key, value in asked if isinstance(value, str | int | float)]
    best = job.progress.get("best")
    if best:
        chosen = " ".join(f"{key}={value}" for key, value in best["parameters"].items())
        plain.append(("best trial", f"{best['trial']}: {best['metric']} {best['value']:g} with {chosen}"))
    plain += [("not taken", failure) for failure in job.progress.get("failures", [])]
    return [(key, value) for key, value in plain if value]


def failure_text(job: Job, explanation: Explanation) -> str:
    """One sentence: plain words first, the service's own after them."""
    said = job.error or "the service gave no reason"
    if not explanation.words or explanation.words == job.error:
        return f"{job.id} is {job.state}: {said}"
    return f"{job.id} is {job.state}: {explanation.words}. The service says: {said}"


def explained(job: Job, settings: Settings, out: Out, *, lines: int = 0, quiet_words: bool = False) -> Explanation:
    """Tell why a job failed, with the last `lines` of its log where they say more; with `quiet_words` only the log,
    because the caller raises the words."""
    from cxr.cloud.failures.explaining import explain

    explanation = explain(job)
    # The commands of the words work where this command worked.
    state_dir = None if settings.state_dir == Settings().state_dir else settings.state_dir
    for command in (f"cxr cloud logs {job.id}", f"cxr cloud status {job.id}"):
        with_flags = CloudFlags(state_dir=state_dir).command(command)
        explanation = replace(explanation, next_step=explanation.next_step.replace(command, with_flags))
    if not quiet_words:
        out.warn(failure_text(job, explanation))
        out.hint(explanation.next_step)
    if explanation.show_log and job.resource and lines:
        _show_log(job, settings, out, lines)
    return explanation


def _show_log(job: Job, settings: Settings, out: Out, lines: int) -> None:
    try:
        connection = connection_of(job, settings, out)
        last = connection.provider.last_lines(connection, job, lines)
    except CxrError as error:
        out.say(f"its log cannot be read: {error.message}")
        return
    if last:
        out.say(f"the last lines of {job.id}:")
    for line in last:
        trial = f"[trial {line.trial}] " if line.trial else ""
        out.say(f"  {line.at}  {trial}{line.text}")
