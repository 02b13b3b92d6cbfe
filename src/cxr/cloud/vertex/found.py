"""A plan's job on the service, found by its label: what was launched from another folder, or before a crash."""

from __future__ import annotations

from cxr.cloud.journal import SUCCEEDED, WITHOUT_RESULT
from cxr.cloud.plans import LaunchPlan
from cxr.cloud.vertex.job_kinds import SERVICES, Seen
from cxr.storage.google_errors import google_errors


def find_launched(plan: LaunchPlan) -> Seen | None:
    """The job that carries the plan's id, if there is one; of several one that is at work, then one that succeeded."""
    with google_errors(f"look for {plan.job_id}"):
        found = SERVICES[plan.kind].list(plan.connection, f'labels.cxr-run="{plan.job_id}"')
    return min(found, key=_rank, default=None)


def _rank(seen: Seen) -> int:
    if seen.state in WITHOUT_RESULT:
        return 2
    return 1 if seen.state == SUCCEEDED else 0
