"""The launches, whole: what has to be true before, the journal, the service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cxr.cloud.connection import Connection
from cxr.cloud.journal import Job, Journal
from cxr.cloud.launching import Launch, Submitted, launch, next_attempt, teller
from cxr.cloud.plans import JobKind, LaunchPlan
from cxr.cloud.vertex.automl import submit_automl
from cxr.cloud.vertex.container import CustomOptions, job_output_url
from cxr.cloud.vertex.custom import submit_custom
from cxr.cloud.vertex.datasets import DatasetState, check_complete, check_uploaded, ensure_dataset
from cxr.cloud.vertex.found import find_launched
from cxr.cloud.vertex.jobs import refresh
from cxr.cloud.vertex.tuning import TuneOptions, submit_tune
from cxr.manifests.manifest import Manifest

Say = Callable[[str], None]


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
        seen = find_launched(plan)
        if seen is None:
            return None
        noted = {"resource": seen.resource, "state": "PENDING", "output_url": _output_url(plan)}
        known = journal.update(known or journal.intend(plan), **noted)
    return known if known.finished else refresh(connection, journal, known)


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

    launched = launch(journal, plan, submit, prepare=prepare, on_trouble=teller(on_step))
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

    url, on_trouble = job_output_url(plan), teller(on_step)
    launched = launch(journal, plan, submit, prepare=prepare, output_url=url, on_trouble=on_trouble)
    return _adopted(plan.connection, journal, launched)


def _adopted(connection: Connection, journal: Journal, launched: Launch) -> Launch:
    # A job that was found, not made, may be anywhere in its life.
    job: Job = launched.job
    return launched if launched.fresh else replace(launched, job=refresh(connection, journal, job))
