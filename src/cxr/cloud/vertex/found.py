"""Jobs on the service, found by their labels: what was launched from another folder, or before a crash."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cxr.cloud.connection import Connection
from cxr.cloud.jobs.seen import ENDED, MANIFEST_LABEL, RUN_LABEL, Seen, launched_of
from cxr.cloud.jobs.waiting import ask
from cxr.cloud.plans.launch import JobKind, LaunchPlan
from cxr.cloud.vertex.job_kinds import SERVICES
from cxr.storage.google.errors import google_errors, polling_errors


def find_launched(plan: LaunchPlan) -> Seen | None:
    """The job that carries the plan's id, if there is one; of several one that is at work, then one that succeeded."""

    def look() -> list[Seen]:
        with polling_errors(f"look for {plan.job_id}"):
            return list(SERVICES[plan.kind].list(plan.connection, f'labels.cxr-run="{plan.job_id}"'))

    return launched_of(ask(look))


def labelled_jobs(connection: Connection, kinds: Iterable[JobKind]) -> Iterator[tuple[JobKind, Seen]]:
    """All jobs of these kinds that carry one of cxr's labels."""
    for kind in kinds:
        listed: dict[str, Seen] = {}
        for label in (RUN_LABEL, MANIFEST_LABEL):
            with google_errors(f"list the {kind} jobs"):
                listed |= {seen.resource: seen for seen in SERVICES[kind].list(connection, f"labels.{label}:*")}
        yield from ((kind, seen) for seen in listed.values())


def unfinished_jobs(connection: Connection) -> Iterator[tuple[JobKind, Seen]]:
    """All jobs of the project and region that have not ended; imports carry no state and are not among them."""
    for kind, service in SERVICES.items():
        prefix = "PIPELINE_STATE_" if kind is JobKind.AUTOML else "JOB_STATE_"
        ended = ENDED[:3] if kind is JobKind.AUTOML else ENDED
        with google_errors(f"list the {kind} jobs"):
            listed = service.list(connection, " AND ".join(f'state!="{prefix}{state}"' for state in ended))
        yield from ((kind, seen) for seen in listed if seen.state not in ENDED)
