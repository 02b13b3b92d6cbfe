"""From plan to job: written to the journal before the service is asked, found again instead of launched twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from cxr.cloud.journal import Job, Journal
from cxr.cloud.plans import LaunchPlan


@dataclass(frozen=True, slots=True)
class Launch:
    """A job, and whether this call launched it (or found an earlier one of the same plan)."""

    job: Job
    fresh: bool


def next_attempt(journal: Journal, plan: LaunchPlan, *, again: bool) -> LaunchPlan:
    """The plan with the first attempt number that is worth launching: failed and cancelled ones are passed over,
    and with `again` every finished one."""
    while True:
        job = journal.get(plan.job_id)
        if job is None or not job.finished or (job.succeeded and not again):
            return plan
        plan = replace(plan, attempt=plan.attempt + 1)


def launch(journal: Journal, plan: LaunchPlan, submit: Callable[[], str], *, output_url: str = "") -> Launch:
    """Launch the plan, unless its job is in the journal with a resource name already. `submit` asks the service and
    returns the resource name at once."""
    known = journal.get(plan.job_id)
    if known and known.resource:
        return Launch(known, fresh=False)
    job = known or journal.intend(plan)
    return Launch(journal.update(job, resource=submit(), state="PENDING", output_url=output_url), fresh=True)
