"""The launches, whole: what has to be true before, the journal, the service."""

from __future__ import annotations

from cxr.cloud.jobs.attempts import adopted
from cxr.cloud.jobs.journal import Journal
from cxr.cloud.jobs.launching import Launch, Submitted, launch, teller
from cxr.cloud.plans.launch import LaunchPlan
from cxr.cloud.trainer.job import CustomOptions, TuneOptions
from cxr.cloud.trainer.launch import launch_trainer
from cxr.cloud.vertex.automl import submit_automl
from cxr.cloud.vertex.custom import submit_custom
from cxr.cloud.vertex.datasets import DatasetState, check_complete, ensure_dataset
from cxr.cloud.vertex.tuning import submit_tune
from cxr.manifests.manifest import Manifest
from cxr.progress import Say


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
    return adopted(plan.connection, journal, launched)


def launch_custom(
    journal: Journal, plan: LaunchPlan, manifest: Manifest, options: CustomOptions, *, on_step: Say
) -> Launch:
    """Check that the images are in the bucket, then launch."""
    return launch_trainer(
        journal, plan, manifest, lambda: submit_custom(plan, manifest, options, on_step=on_step), on_step
    )


def launch_tune(
    journal: Journal, plan: LaunchPlan, manifest: Manifest, options: TuneOptions, *, on_step: Say
) -> Launch:
    """Check that the images are in the bucket, then launch."""
    return launch_trainer(
        journal, plan, manifest, lambda: submit_tune(plan, manifest, options, on_step=on_step), on_step
    )
