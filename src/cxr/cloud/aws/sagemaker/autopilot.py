"""Autopilot's image classification (AutoML V2): the manifest's own split, an explicit runtime, submitted at once.

Sources: CreateAutoMLJobV2 (AutoMLS3DataSource: AugmentedManifestFile; AutoMLJobChannel: image/*),
AutoMLJobCompletionCriteria (one candidate for images).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from cxr.cloud.aws.clients import InUseError, aws_errors, client
from cxr.cloud.aws.names import service_name, tags_of
from cxr.cloud.aws.offers import AUTOPILOT
from cxr.cloud.aws.prices import autopilot_price
from cxr.cloud.aws.sagemaker.custom import find_launched
from cxr.cloud.aws.sagemaker.job_kinds import find
from cxr.cloud.aws.sagemaker.requests import check_role
from cxr.cloud.aws.sagemaker.transform import batch_of
from cxr.cloud.connection import Connection
from cxr.cloud.jobs.launching import Submitted
from cxr.cloud.plans.launch import JobKind, LaunchPlan, cost_of
from cxr.cloud.prices.table import PriceTable, price_table
from cxr.cloud.provider import AutoMLWishes
from cxr.cloud.trainer.job import check_trainable, job_output_url
from cxr.errors import InputError, UsageError
from cxr.manifests.manifest import Manifest

#: Channel of the service -> split of the manifest. The test images stay where they are.
CHANNELS: Final = {"training": "train", "validation": "validation"}
DEFAULT_HOURS: Final = 2.0
NO_TFJS: Final = (
    "the model runs in Amazon's own container: it is not exported to TFLite or TF.js, and is compared through "
    "cxr cloud evaluate --predict batch"
)


@dataclass(frozen=True, slots=True)
class AutopilotOptions:
    """How long Autopilot works at most."""

    budget_hours: float = DEFAULT_HOURS

    def request(self) -> dict[str, Any]:
        """What decides the job, for a plan. Raises UsageError for hours that are none, or more than a job may take."""
        most = AUTOPILOT.maximum_seconds / 3600
        seconds = self.budget_hours * 3600
        if not math.isfinite(seconds) or not AUTOPILOT.minimum_seconds <= seconds <= AUTOPILOT.maximum_seconds:
            raise UsageError(
                f"Autopilot takes a second to {most:g} hours, not {self.budget_hours:g}", hint="--budget-hours 2"
            )
        return {"budget_hours": self.budget_hours, "candidates": AUTOPILOT.candidates}


def autopilot_options(wishes: AutoMLWishes) -> AutopilotOptions:
    """The options of what was asked for on the command line. Raises UsageError for wishes that are Google's."""
    if wishes.model_type is not None or wishes.budget_node_hours is not None:
        raise UsageError(
            "Autopilot has no model types and no node hours: it is given hours", hint="--budget-hours HOURS"
        )
    return AutopilotOptions() if wishes.budget_hours is None else AutopilotOptions(wishes.budget_hours)


def autopilot_options_from(request: Any) -> AutopilotOptions:
    """The options that a saved plan's request was made of. Raises InputError when the request is not whole."""
    try:
        return AutopilotOptions(float(request["budget_hours"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the plan's request is not whole: {error!r}", hint="make the plan anew") from error


def plan_autopilot(
    connection: Connection,
    manifest: Manifest,
    options: AutopilotOptions,
    *,
    prices: PriceTable | None = None,
    attempt: int = 1,
) -> LaunchPlan:
    """The plan of one Autopilot job. Nothing is asked of the service. Raises UsageError for hours out of range or
    without a role, InputError for an empty split."""
    check_role(connection)
    check_trainable(manifest)
    request = options.request()
    price = autopilot_price(prices or price_table(None, connection.provider.prices))
    hours = options.budget_hours
    counts = ", ".join(f"{len(manifest.split(split)):,} {split}" for split in CHANNELS.values())
    folder = f"{connection.base_url}/jobs/{{job}}"
    notes = [NO_TFJS]
    if not connection.billed:
        notes.insert(0, "a small stand-in model is trained here, not Amazon's Autopilot")
    try:
        batch_of(manifest)
    except InputError as error:
        notes.append(f"the model could not be compared afterwards: {error.message}")
    return LaunchPlan(
        kind=JobKind.AUTOML,
        connection=connection,
        manifest_hash=manifest.hash,
        request=request,
        cost=cost_of(price, worst_hours=hours, expected_hours=hours, basis="the whole runtime"),
        shown=(
            ("images", f"{counts}; the service's own split is never used"),
            ("runtime", f"at most {hours:g} h; the service ends it earlier when it is done"),
        ),
        makes=(("Autopilot job", "{job}"), ("folder", folder)),
        leaves_behind=(f"lists of the images, the model and reports under {folder}",),
        attempt=attempt,
        notes=tuple(notes),
    )


def submit_autopilot(plan: LaunchPlan, manifest: Manifest, *, on_step: Callable[[str], None]) -> Submitted:
    """Write the lists of images, create the job, return its ARN at once. An earlier job of the same plan has its name,
    and is returned instead."""
    if earlier := find_launched(plan):
        return Submitted(earlier.resource, found=True)
    connection, url, name = plan.connection, job_output_url(plan), service_name(plan)
    role = check_role(connection)
    on_step("writing the lists of images")
    store = connection.store(f"jobs/{plan.job_id}/input")
    for channel, split in CHANNELS.items():
        store.replace_bytes(f"{channel}.manifest", augmented_manifest(connection, manifest, split))
    seconds = round(float(plan.request["budget_hours"]) * 3600)
    criteria = {
        "MaxCandidates": int(plan.request["candidates"]),
        "MaxRuntimePerTrainingJobInSeconds": seconds,
        "MaxAutoMLJobRuntimeInSeconds": seconds,
    }
    try:
        with aws_errors("create the Autopilot job"):
            made = client(connection, "sagemaker").create_auto_ml_job_v2(
                AutoMLJobName=name,
                AutoMLJobInputDataConfig=[_channel(channel, f"{url}/input/{channel}.manifest") for channel in CHANNELS],
                OutputDataConfig={"S3OutputPath": url},
                AutoMLProblemTypeConfig={"ImageClassificationJobConfig": {"CompletionCriteria": criteria}},
                AutoMLJobObjective={"MetricName": "Accuracy"},
                RoleArn=role,
                Tags=tags_of(plan.labels),
            )
    except InUseError:  # another process was quicker
        return Submitted(find(connection, JobKind.AUTOML, name).resource, found=True)
    return Submitted(str(made["AutoMLJobArn"]))


def augmented_manifest(connection: Connection, manifest: Manifest, split: str) -> bytes:
    """JSON lines of a split's images with their labels, as AutoMLS3DataSource documents them."""
    frame = manifest.split(split)
    lines = [
        json.dumps({"source-ref": f"{connection.images_url}/{path}", "label-metadata": {"class-name": str(label)}})
        for path, label in zip(frame["path"], frame["label"], strict=True)
    ]
    return ("\n".join(lines) + "\n").encode()


def _channel(name: str, url: str) -> dict[str, Any]:
    return {
        "ChannelType": name,
        "ContentType": "image/*",
        "CompressionType": "None",
        "DataSource": {"S3DataSource": {"S3DataType": "AugmentedManifestFile", "S3Uri": url}},
    }
