"""How far a job is: time passed, time left as honestly as it is known, and what it has cost so far.

Nothing here asks anybody or looks at a clock: `now` is given. The keys of `Job.progress`: `milli_node_hours` (AutoML,
as billed), `epoch` and `epochs` (custom jobs, from the trainer's log), `trials_done`, `trials_failed`, `trials_total`,
`best`, `trial_hours` (of ended trials) and `running_since` (tuning), `items_done`, `items_failed`, `replica_hours` and
`output_directory` (batch prediction), `failures` (what an import or a batch prediction could not take) and
`error_code` (google.rpc). `measured_at` is when the last epoch or trial ended (ISO).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from cxr.cloud.jobs.journal import Job
from cxr.cloud.plans.launch import JobKind
from cxr.cloud.providers import provider_of

#: Nodes that train one AutoML image model side by side: node hours are hours times nodes. Source: the task definition
#: automl_image_classification_1.0.0.yaml, field budgetMilliNodeHours.
AUTOML_NODES = {"cloud": 8}
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Outlook:
    """Seconds since the job began to run (None: not yet), seconds left (None: nobody knows; `left_at_most` when it is
    only a bound), USD so far by the price table (None: not known) and at most (0: not known)."""

    elapsed_s: float | None
    left_s: float | None
    left_at_most: bool
    cost_usd: float | None
    at_most_usd: float


def outlook(job: Job, now: datetime) -> Outlook:
    """What can be said of a job at the moment `now` (timezone-aware)."""
    began = _moment(job.started) or (_moment(job.ended) and _moment(job.created))
    until = _moment(job.ended) or now
    elapsed = max(0.0, (until - began).total_seconds()) if began else None
    left, bound = (None, False) if job.finished else _left(job, elapsed)
    return Outlook(elapsed, left, bound, _cost(job, elapsed, now), job.worst_case_usd)


def status_words(job: Job, now: datetime, *, cost: bool = True) -> str:
    """One line: state, elapsed, left, progress, cost. What is not known is left out."""
    seen = outlook(job, now)
    parts = [job.state]
    if seen.elapsed_s is not None:
        parts.append(f"{'took' if job.finished else 'for'} {clock_text(seen.elapsed_s)}")
    elif not job.finished:
        waited = _moment(job.created)
        parts.append(f"asked for {clock_text((now - waited).total_seconds())} ago" if waited else "")
    if seen.left_s is not None:
        parts.append(f"{'at most' if seen.left_at_most else 'about'} {clock_text(seen.left_s)} left")
    parts += [work_words(job), cost_words(job, seen) if cost else ""]
    return ", ".join(part for part in parts if part)


def work_words(job: Job) -> str:
    """How much of the work is done, "" when the service does not tell."""
    told = job.progress
    if "trials_total" in told:
        words = f"{told.get('trials_done', 0)} of {told['trials_total']} trials"
        if told.get("trials_failed"):
            words += f" ({told['trials_failed']} failed)"
        best = told.get("best")
        return f"{words}, best {best['metric']} {best['value']:g} (trial {best['trial']})" if best else words
    if "epochs" in told and not job.finished:
        return f"epoch {told.get('epoch', 0)} of {told['epochs']}"
    if "items_done" in told:
        failed = told.get("items_failed", 0)
        total = f" of {job.details['images']:,}" if isinstance(job.details.get("images"), int) else ""
        return f"{told['items_done']:,}{total} images{f', {failed:,} failed' if failed else ''}"
    if told.get("failures"):
        return f"{len(told['failures'])} could not be taken"
    return ""


def cost_words(job: Job, seen: Outlook) -> str:
    """The cost in words; on the emulator it is what Google would have asked for the same time."""
    so_far = f"{seen.cost_usd:,.2f} USD{'' if job.finished else ' so far'}" if seen.cost_usd is not None else ""
    most = f"at most {seen.at_most_usd:,.2f} USD" if seen.at_most_usd and not job.finished else ""
    words = f"{so_far} ({most})" if so_far and most else so_far or most
    if not words:
        return ""
    return words if job.on.billed else f"nothing here; on {provider_of(job.on).name} {words}"


def clock_text(seconds: float) -> str:
    """`m:ss`, `h:mm:ss` or days, for people."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} days"
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _left(job: Job, elapsed_s: float | None) -> tuple[float | None, bool]:
    """(seconds, whether that is only a bound)."""
    told = job.progress
    if elapsed_s is not None:
        for done, total in (("trials_done", "trials_total"), ("epoch", "epochs")):
            if 0 < told.get(done, 0) < told.get(total, 0):
                # The pace until the last one ended, so that the time left shrinks while the next is at work.
                measured, began = _moment(told.get("measured_at", "")), _moment(job.started)
                until = (measured - began).total_seconds() if measured and began else elapsed_s
                return max(0.0, until / told[done] * told[total] - elapsed_s), False
    limit_s = _limit_s(job)
    return (None, False) if limit_s is None else (max(0.0, limit_s - (elapsed_s or 0.0)), True)


def _limit_s(job: Job) -> float | None:
    """How long the job may run at all: its timeout, or its budget over the nodes that share it."""
    asked = job.details
    if job.kind is JobKind.AUTOML and asked.get("budget_milli_node_hours"):
        nodes = AUTOML_NODES.get(str(asked.get("model_type")), 1)
        return float(asked["budget_milli_node_hours"]) / 1000 / nodes * _HOUR_S
    if job.kind is JobKind.CUSTOM and asked.get("timeout_hours"):
        return float(asked["timeout_hours"]) * _HOUR_S
    return None


def _cost(job: Job, elapsed_s: float | None, now: datetime) -> float | None:
    if not job.usd_per_hour:
        return None
    if job.kind is JobKind.AUTOML:
        # Node hours, not hours: only the service knows how many nodes worked. A cancelled training is billed.
        used = job.progress.get("milli_node_hours")
        if job.state == "FAILED" and not provider_of(job.on).bills_failed_automl:
            return 0.0
        hours = float(used) / 1000 if used is not None else None
    elif "trial_hours" in job.progress:
        began = [moment for moment in map(_moment, job.progress.get("running_since", ())) if moment]
        since = [(now - moment).total_seconds() for moment in began]
        hours = float(job.progress["trial_hours"]) + sum(max(0.0, seconds) for seconds in since) / _HOUR_S
    elif job.kind is JobKind.BATCH:
        # Nodes of the service's own choice: their number is told with the hours, when they are told.
        used = job.progress.get("replica_hours")
        hours = float(used) if used is not None else None
    else:
        hours = elapsed_s / _HOUR_S if elapsed_s is not None else 0.0
    if hours is None:
        return None
    cost = hours * job.usd_per_hour
    return min(cost, job.worst_case_usd) if job.worst_case_usd else cost


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
