"""Which attempt of a plan is meant: by the journal, and by what the service knows."""

from __future__ import annotations

from dataclasses import replace

from cxr.cloud.connection import Connection
from cxr.cloud.jobs.asking import refresh
from cxr.cloud.jobs.journal import Job, Journal
from cxr.cloud.jobs.launching import Launch, next_attempt
from cxr.cloud.plans.launch import JobKind, LaunchPlan
from cxr.cloud.trainer.job import job_output_url


def latest_attempt(connection: Connection, journal: Journal, plan: LaunchPlan, *, again: bool) -> LaunchPlan:
    """The attempt to launch or to find, by what the service says now: of those that the journal takes for unfinished,
    and of those that it does not know (launched from another folder, or the journal is lost), which are then written
    down."""
    while True:
        plan = next_attempt(journal, plan, again=again)
        before = journal.get(plan.job_id)
        job = _launched(connection, journal, plan)
        if job is None or not job.finished or (before is not None and before.finished):
            return plan


def newest_attempt(connection: Connection, journal: Journal, plan: LaunchPlan) -> LaunchPlan:
    """The newest attempt that is at work or has succeeded, when there are several; else the one that `latest_attempt`
    would launch."""
    chosen = latest_attempt(connection, journal, plan, again=False)
    later = replace(chosen, attempt=chosen.attempt + 1)
    while job := _launched(connection, journal, later):
        if job.succeeded or not job.finished:
            chosen = later
        later = replace(later, attempt=later.attempt + 1)
    return chosen


def _launched(connection: Connection, journal: Journal, plan: LaunchPlan) -> Job | None:
    """The plan's job as the service says now, None when it was never launched."""
    known = journal.get(plan.job_id)
    if known is None or not known.resource:
        seen = connection.provider.find_launched(plan)
        if seen is None:
            return None
        noted = {"resource": seen.resource, "state": "PENDING", "output_url": _output_url(plan)}
        known = journal.update(known or journal.intend(plan), **noted)
    return known if known.finished else refresh(connection, journal, known)


def _output_url(plan: LaunchPlan) -> str:
    return job_output_url(plan) if plan.kind in {JobKind.CUSTOM, JobKind.TUNE} else ""


def adopted(connection: Connection, journal: Journal, launched: Launch) -> Launch:
    """A launch whose job is seen as it is now: one that was found, not made, may be anywhere in its life."""
    return launched if launched.fresh else replace(launched, job=refresh(connection, journal, launched.job))
