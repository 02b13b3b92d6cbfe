"""AutoML image classification: a filter split from the manifest, an explicit budget, submitted without blocking."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cxr.cloud.connection import Connection
from cxr.cloud.jobs.launching import Submitted
from cxr.cloud.plans.launch import JobKind, LaunchPlan, cost_of
from cxr.cloud.prices.table import PriceTable, price_table
from cxr.cloud.provider import AutoMLWishes
from cxr.cloud.vertex.clients import REQUEST_TIMEOUT_S, pipeline_client
from cxr.cloud.vertex.datasets import check_labels, dataset_display_name
from cxr.cloud.vertex.found import find_launched
from cxr.cloud.vertex.imports import import_file_name
from cxr.cloud.vertex.offers import AUTOML_REGIONS, AutoMLOffer, automl_offer
from cxr.errors import CheckFailed, InputError, UsageError
from cxr.manifests.manifest import Manifest
from cxr.storage.google.errors import google_errors

TASK = "gs://google-cloud-aiplatform/schema/trainingjob/definition/automl_image_classification_1.0.0.yaml"
ML_USE = "labels.aiplatform.googleapis.com/ml_use"
#: AutoML wants at least this many images of each label (Vertex AI, prepare image training data).
MINIMUM_IMAGES_A_LABEL = 10


@dataclass(frozen=True, slots=True)
class AutoMLOptions:
    """Which model AutoML trains and how long at most."""

    model_type: str = "mobile-versatile"
    budget_node_hours: float = 1.0

    def request(self) -> dict[str, Any]:
        """What decides the job, for a plan. Raises UsageError for an unknown model type or a budget out of its
        range."""
        offer = automl_offer(self.model_type)
        # Not a number and infinity are out of every range.
        budget = round(self.budget_node_hours * 1000) if math.isfinite(self.budget_node_hours) else 0
        if not offer.minimum_milli_node_hours <= budget <= offer.maximum_milli_node_hours:
            low, high = offer.minimum_milli_node_hours / 1000, offer.maximum_milli_node_hours / 1000
            raise UsageError(
                f"{self.model_type} takes {low:g} to {high:g} node hours, not {self.budget_node_hours:g}",
                hint=f"--budget-node-hours {low:g}",
            )
        return {"model_type": self.model_type, "budget_milli_node_hours": budget, "early_stopping": True}


def automl_options(wishes: AutoMLWishes) -> AutoMLOptions:
    """The options of what was asked for on the command line. Raises UsageError for wishes that are Amazon's."""
    if wishes.budget_hours is not None:
        raise UsageError(
            "Google's AutoML is given a model type and node hours", hint="--model-type TYPE --budget-node-hours HOURS"
        )
    usual = AutoMLOptions()
    return AutoMLOptions(
        usual.model_type if wishes.model_type is None else wishes.model_type,
        usual.budget_node_hours if wishes.budget_node_hours is None else wishes.budget_node_hours,
    )


def automl_options_from(request: Any) -> AutoMLOptions:
    """The options that a saved plan's request was made of. Raises InputError when the request is not whole."""
    try:
        return AutoMLOptions(str(request["model_type"]), float(request["budget_milli_node_hours"]) / 1000)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the plan's request is not whole: {error!r}", hint="make the plan anew") from error


def plan_automl(
    connection: Connection,
    manifest: Manifest,
    options: AutoMLOptions,
    *,
    prices: PriceTable | None = None,
    attempt: int = 1,
) -> LaunchPlan:
    """The plan of one AutoML job. Nothing is asked of the service.

    Raises UsageError for an unknown model type, a budget outside its range or a region without AutoML image;
    InputError for a label that the service refuses; CheckFailed for splits that are empty or too small.
    """
    request = options.request()
    offer = automl_offer(options.model_type)
    if connection.region not in AUTOML_REGIONS:
        raise UsageError(
            f"AutoML image is not offered in {connection.region}", hint=f"--region {' or '.join(AUTOML_REGIONS)}"
        )
    check_labels(connection, manifest)
    _check_splits(manifest)
    hours = request["budget_milli_node_hours"] / 1000
    price = (prices or price_table(None, connection.provider.prices)).automl(offer.model_type)
    dataset = dataset_display_name(manifest)
    return LaunchPlan(
        kind=JobKind.AUTOML,
        connection=connection,
        manifest_hash=manifest.hash,
        request=request,
        cost=cost_of(price, worst_hours=hours, expected_hours=hours, basis="the whole budget"),
        shown=(
            ("model type", options.model_type),
            ("budget", f"{hours:g} node hours; the service ends training early when it no longer improves"),
        ),
        makes=(
            ("import file", f"{connection.base_url}/{import_file_name(manifest)}"),
            ("dataset", f"{dataset} (unless there is one of this manifest)"),
            ("training pipeline", "{job}"),
            ("model", "{job}"),
        ),
        leaves_behind=("a dataset and a model, which cost nothing by themselves", "the import file"),
        attempt=attempt,
        notes=tuple(_notes(connection, offer)),
    )


def _notes(connection: Connection, offer: AutoMLOffer) -> Iterator[str]:
    if not connection.billed:
        yield "the emulator trains a small stand-in model, not Google's AutoML"
    if not offer.exportable:
        yield (
            f"a {offer.model_type} model cannot be exported: it stays on the service, "
            "and is compared through cxr cloud evaluate --predict batch"
        )


def submit_automl(plan: LaunchPlan, dataset: str) -> Submitted:
    """Create the training pipeline and return its resource name at once. An earlier pipeline of the same plan (a
    crash came between creation and journal) is found by its label and returned instead."""
    connection = plan.connection
    if earlier := find_launched(plan):
        return Submitted(earlier.resource, found=True)
    client = pipeline_client(connection)
    with google_errors("create the training pipeline"):
        pipeline = client.create_training_pipeline(
            request={"parent": connection.parent, "training_pipeline": _pipeline(plan, dataset)},
            timeout=REQUEST_TIMEOUT_S,
        )
    return Submitted(str(pipeline.name))


def _pipeline(plan: LaunchPlan, dataset: str) -> dict[str, Any]:
    from google.protobuf import json_format, struct_pb2

    offer = automl_offer(plan.request["model_type"])
    inputs = {
        "modelType": offer.service_name,
        "budgetMilliNodeHours": plan.request["budget_milli_node_hours"],
        "disableEarlyStopping": not plan.request["early_stopping"],
        "multiLabel": False,
    }
    return {
        "display_name": plan.job_id,
        "labels": plan.labels,
        "input_data_config": {
            "dataset_id": dataset.rsplit("/", 1)[-1],
            "filter_split": {
                "training_filter": f"{ML_USE}=training",
                "validation_filter": f"{ML_USE}=validation",
                "test_filter": f"{ML_USE}=test",
            },
        },
        "training_task_definition": TASK,
        "training_task_inputs": json_format.ParseDict(inputs, struct_pb2.Value()),
        "model_to_upload": {"display_name": plan.job_id, "labels": plan.labels},
    }


_HINTS = {
    "train": "put images into train/<label>/ and scan again: cxr data scan DIR",
    "validation": "make a validation split: cxr data split",
    "test": "put the images of some patients into test/<label>/ and scan again: cxr data scan DIR",
}


def _check_splits(manifest: Manifest) -> None:
    for split in ("train", "validation", "test"):
        if manifest.split(split).empty:
            raise CheckFailed(f"the manifest has no {split} images", hint=_HINTS[split])
    counts = manifest.split("train")["label"].value_counts()
    for label in manifest.classes:
        found = int(counts.get(label, 0))
        if found < MINIMUM_IMAGES_A_LABEL:
            raise CheckFailed(
                f"AutoML wants at least {MINIMUM_IMAGES_A_LABEL} training images of each label, {label} has {found}"
            )
