"""GPU jobs: the trainer on one managed machine, or on several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cxr.cloud.connection import Connection
from cxr.cloud.jobs.estimates import Expectation
from cxr.cloud.jobs.launching import Submitted
from cxr.cloud.plans.launch import LaunchPlan
from cxr.cloud.prices.table import PriceTable
from cxr.cloud.trainer import plans as trainer_plans
from cxr.cloud.trainer.job import CustomOptions
from cxr.cloud.trainer.plans import TrainerRules
from cxr.cloud.vertex.clients import REQUEST_TIMEOUT_S, job_client
from cxr.cloud.vertex.container import job_spec, send_inputs
from cxr.cloud.vertex.found import find_launched
from cxr.manifests.manifest import Manifest
from cxr.storage.google.errors import google_errors

#: Scheduling (restarts), CustomJobSpec (timeout: 7 days) and HyperparameterTuningJob (trials) of the service.
RULES = TrainerRules(
    maximum_timeout_hours=168.0,
    maximum_trials=1000,
    maximum_parallel=100,
    job="custom job",
    tuning_job="tuning job",
    spot="spot capacity can be taken back: the job then starts again, up to six times, from its last checkpoint",
)


def plan_custom(
    connection: Connection,
    manifest: Manifest,
    options: CustomOptions,
    *,
    prices: PriceTable | None = None,
    expectation: Expectation | None = None,
    epochs: int | None = None,
    attempt: int = 1,
) -> LaunchPlan:
    """As `trainer_plans.plan_custom`, by Vertex AI's rules."""
    return trainer_plans.plan_custom(
        connection, manifest, options, RULES, prices=prices, expectation=expectation, epochs=epochs, attempt=attempt
    )


def submit_custom(
    plan: LaunchPlan, manifest: Manifest, options: CustomOptions, *, on_step: Callable[[str], None]
) -> Submitted:
    """Send the wheel, the manifest (and a weights file), create the job, return its resource name at once. An earlier
    job of the same plan is found by its label and returned instead."""
    if earlier := find_launched(plan):
        return Submitted(earlier.resource, found=True)
    on_step("sending the trainer and the manifest")
    weights = send_inputs(plan, manifest, options)
    body: dict[str, Any] = {
        "display_name": plan.job_id,
        "labels": plan.labels,
        "job_spec": job_spec(plan, options, weights),
    }
    client = job_client(plan.connection)
    with google_errors("create the custom job"):
        job = client.create_custom_job(
            request={"parent": plan.connection.parent, "custom_job": body}, timeout=REQUEST_TIMEOUT_S
        )
    return Submitted(str(job.name))
