"""The launch of a job that reads the bucket itself, whichever cloud runs it."""

from __future__ import annotations

from collections.abc import Callable

from cxr.cloud.jobs.attempts import adopted
from cxr.cloud.jobs.journal import Journal
from cxr.cloud.jobs.launching import Launch, Submitted, launch, teller
from cxr.cloud.plans.launch import LaunchPlan
from cxr.cloud.trainer.job import job_output_url
from cxr.cloud.uploading import check_uploaded
from cxr.manifests.manifest import Manifest


def launch_trainer(
    journal: Journal,
    plan: LaunchPlan,
    manifest: Manifest,
    submit: Callable[[], Submitted],
    on_step: Callable[[str], None],
) -> Launch:
    """Check that the images are in the bucket, then launch by `submit`. Raises InputError when one is missing."""

    def prepare() -> None:
        check_uploaded(plan.connection, manifest)

    url, on_trouble = job_output_url(plan), teller(on_step)
    launched = launch(journal, plan, submit, prepare=prepare, output_url=url, on_trouble=on_trouble)
    return adopted(plan.connection, journal, launched)
