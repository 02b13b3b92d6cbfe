"""From plan to job: written to the journal before the service is asked, found again instead of launched twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from cxr.cloud.jobs.journal import Job, Journal
from cxr.cloud.jobs.waiting import poll
from cxr.cloud.plans.launch import LaunchPlan
from cxr.errors import Unreachable
from cxr.locks import only_one

#: How long a submission is tried while the service does not answer, or has had too many requests in a minute.
SUBMIT_PATIENCE_S = 150.0


@dataclass(frozen=True, slots=True)
class Submitted:
    """What the service answered: a resource name, and whether it was `found` there (left by an earlier run that died
    before it could write the name down, or launched from another folder) instead of made now."""

    resource: str
    found: bool = False


@dataclass(frozen=True, slots=True)
class Launch:
    """A job, and whether this call launched it (or found an earlier one of the same plan)."""

    job: Job
    fresh: bool


def next_attempt(journal: Journal, plan: LaunchPlan, *, again: bool) -> LaunchPlan:
    """The plan with the first attempt number that is worth launching: those that ended without a result are passed
    over, and with `again` every one that has ended."""
    while True:
        job = journal.get(plan.job_id)
        if job is None or not job.finished or (job.succeeded and not again):
            return plan
        plan = replace(plan, attempt=plan.attempt + 1)


def launch(
    journal: Journal,
    plan: LaunchPlan,
    submit: Callable[[], Submitted],
    *,
    prepare: Callable[[], None] = lambda: None,
    output_url: str = "",
    on_trouble: Callable[[Unreachable], None] = lambda _: None,
) -> Launch:
    """Launch the plan, unless its job is in the journal with a resource name already.

    `prepare` does what the launch needs (an upload checked, a dataset filled) and may fail: nothing is written down
    before it has ended well. `submit` asks the service and returns the resource name at once; it first looks for a job
    that it has made before, so it is called again (`on_trouble` hears why) when the service did not answer. Two
    launches of one plan from the same folder wait for each other.
    """
    with only_one(journal.path.parent, plan.job_id):
        known = journal.get(plan.job_id)
        if known and known.resource:
            return Launch(known, fresh=False)
        prepare()
        job = known or journal.intend(plan)
        submitted = poll(submit, lambda _: True, patience_s=SUBMIT_PATIENCE_S, on_trouble=on_trouble)
        job = journal.update(job, resource=submitted.resource, state="PENDING", output_url=output_url)
        return Launch(job, fresh=not submitted.found)


def teller(say: Callable[[str], None]) -> Callable[[Unreachable], None]:
    """Says why something is tried again, each reason once."""
    said: set[str] = set()

    def tell(error: Unreachable) -> None:
        if error.message not in said:
            said.add(error.message)
            say(f"asking again: {error.message}")

    return tell
