"""The launches, whole: what has to be true before, the journal, the service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cxr.cloud.connection import Connection
from cxr.cloud.journal import Job, Journal
from cxr.cloud.launching import Launch, Submitted, launch, next_attempt
from cxr.cloud.plans import JobKind, LaunchPlan
from cxr.cloud.vertex.automl import submit_automl
from cxr.cloud.vertex.container import CustomOptions, job_output_url
from cxr.cloud.vertex.custom import submit_custom
from cxr.cloud.vertex.datasets import DatasetState, check_complete, check_uploaded, ensure_dataset
from cxr.cloud.vertex.found import find_launched
from cxr.cloud.vertex.jobs import refresh
from cxr.cloud.vertex.tuning import TuneOptions, submit_tune
from cxr.errors import Unreachable
from cxr.manifests.manifest import Manifest

Say = Callable[[str], None]


def latest_attempt(connection: Connection, journal: Journal, plan: LaunchPlan, *, again: bool) -> LaunchPlan:
    """The attempt to launch or to find, by what the service says now: of those that the journal takes for unfinished,
    and of those that it does not know (launched from another folder, or the journal is lost), which are then written
    down."""
    while True:
        plan = next_attempt(journal, plan, again=again)
        known = journal.get(plan.job_id)
        if known is None or not known.resource:
            seen = find_launched(plan)
            if seen is None:
                return plan
            noted = {"resource": seen.resource, "state": "PENDING", "output_url": _output_url(plan)}
            known = journal.update(known or journal.intend(plan), **noted)
        if known.finished or not refresh(connection, journal, known).finished:
            return plan


def _output_url(plan: LaunchPlan) -> str:
    return job_output_url(plan) if plan.kind in {JobKind.CUSTOM, JobKind.TUNE} else ""


def launch_automl(
    journal: Journal, plan: LaunchPlan, manifest: Manifest, *, allow_partial: bool = False, on_step: Say
) -> Launch:
    """Fill the dataset, then launch. Raises CheckFailed when images could not be imported, unless `allow_partial`."""
    dataset: list[DatasetState] = []

    def prepare() -> None:
        state = ensure_dataset(plan.connection, journal, manifest, on_step=on_step)
        for failure in state.partial_failures:
            on_step(f"not imported: {failure}")
        if not allow_partial:
            check_complete(state)
        dataset.append(state)

    def submit() -> Submitted:
        return submit_automl(plan, dataset[0].resource)

    launched = launch(journal, plan, submit, prepare=prepare, on_trouble=_teller(on_step))
    return _adopted(plan.connection, journal, launched)


def launch_custom(
    journal: Journal, plan: LaunchPlan, manifest: Manifest, options: CustomOptions, *, on_step: Say
) -> Launch:
    """Check that the images are in the bucket, then launch."""
    return _launch_trainer(
        journal, plan, manifest, lambda: submit_custom(plan, manifest, options, on_step=on_step), on_step
    )


def launch_tune(
    journal: Journal, plan: LaunchPlan, manifest: Manifest, options: TuneOptions, *, on_step: Say
) -> Launch:
    """Check that the images are in the bucket, then launch."""
    return _launch_trainer(
        journal, plan, manifest, lambda: submit_tune(plan, manifest, options, on_step=on_step), on_step
    )


def _launch_trainer(
    journal: Journal, plan: LaunchPlan, manifest: Manifest, submit: Callable[[], Submitted], on_step: Say
) -> Launch:
    def prepare() -> None:
        check_uploaded(plan.connection, manifest)

    url, on_trouble = job_output_url(plan), _teller(on_step)
    launched = launch(journal, plan, submit, prepare=prepare, output_url=url, on_trouble=on_trouble)
    return _adopted(plan.connection, journal, launched)


def _teller(on_step: Say) -> Callable[[Unreachable], None]:
    said: set[str] = set()

    def tell(error: Unreachable) -> None:
        if error.message not in said:
            said.add(error.message)
            on_step(f"asking again: {error.message}")

    return tell


def _adopted(connection: Connection, journal: Journal, launched: Launch) -> Launch:
    # A job that was found, not made, may be anywhere in its life.
    job: Job = launched.job
    return launched if launched.fresh else replace(launched, job=refresh(connection, journal, job))
