"""GPU jobs: the trainer on one managed machine, or on several."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from cxr.cloud.connection import Connection
from cxr.cloud.estimates import Expectation, Work, expected_run
from cxr.cloud.launching import Submitted
from cxr.cloud.offers import Hardware
from cxr.cloud.plans import JobKind, LaunchPlan, cost_of
from cxr.cloud.prices import HourlyPrice, PriceTable, price_table
from cxr.cloud.vertex.clients import REQUEST_TIMEOUT_S, job_client
from cxr.cloud.vertex.container import (
    CustomOptions,
    check_timeout,
    check_trainable,
    job_spec,
    send_inputs,
)
from cxr.cloud.vertex.found import find_launched
from cxr.manifests.manifest import Manifest
from cxr.storage.google_errors import google_errors


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
    """The plan of one GPU job. Nothing is asked of the service.

    `expectation` is what earlier jobs have shown; without one it is assumed, for `epochs` passes when the options name
    none. Raises UsageError for hardware whose price is unknown or a timeout out of range, InputError for a weights file
    that is not there or an empty split.
    """
    check_timeout(options.timeout_hours)
    check_trainable(manifest)
    price = (prices or price_table()).hardware(options.hardware)
    expected = expectation or expected_run(options.hardware, work_of(manifest, options.epochs or epochs))
    return LaunchPlan(
        kind=JobKind.CUSTOM,
        connection=connection,
        manifest_hash=manifest.hash,
        request=options.request(),
        cost=cost_of(price, worst_hours=options.timeout_hours, expected_hours=expected.hours, basis=expected.basis),
        shown=tuple(options.shown()),
        makes=(("custom job", "{job}"), ("folder", f"{connection.base_url}/jobs/{{job}}")),
        leaves_behind=(f"the trainer, checkpoints, logs and the model under {connection.base_url}/jobs/{{job}}",),
        attempt=attempt,
        notes=tuple(hardware_notes(connection, options.hardware, price)),
    )


def work_of(manifest: Manifest, epochs: int | None) -> Work:
    """What a training on this manifest has to do."""
    return Work(len(manifest.split("train")), len(manifest.frame), epochs)


def hardware_notes(connection: Connection, hardware: Hardware, price: HourlyPrice) -> Iterator[str]:
    """What a reader of a plan must know beside the price."""
    if hardware.spot:
        yield "spot capacity can be taken back: the job then starts again, up to six times, from its last checkpoint"
    region = price.at_most.region
    if region not in {None, connection.region}:
        yield f"the price is that of {region}; {connection.region} may cost more"


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
