"""Batch predictions of a model on the service: planned, submitted without blocking, read from the bucket."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from cxr.cloud.connection import Connection
from cxr.cloud.jobs.journal import Job
from cxr.cloud.jobs.launching import Submitted
from cxr.cloud.plans.launch import JobKind, LaunchPlan, cost_of
from cxr.cloud.predicting.scores import SPLIT, Picture, Scores, pictures_of
from cxr.cloud.prices.predictions import BATCH_NODE_HOUR, WORST_FACTOR, batch_estimate
from cxr.cloud.prices.table import HourlyPrice
from cxr.cloud.vertex.clients import REQUEST_TIMEOUT_S, job_client
from cxr.cloud.vertex.found import find_launched
from cxr.documents import parse_json
from cxr.errors import CheckFailed, Fault, InputError
from cxr.manifests.manifest import Manifest
from cxr.storage.google.errors import google_errors

INSTANCES_FILE = "instances.jsonl"
#: The largest image that the service takes in a batch (Vertex AI, prepare image data).
LARGEST_IMAGE_BYTES = 30_000_000
#: Names of the files that the service writes: predictions_00001.jsonl and the like, errors_00001.jsonl beside them.
_ANSWERS = ".jsonl"


def plan_batch(
    connection: Connection, manifest: Manifest, model: str, trained_by: str, *, attempt: int = 1
) -> LaunchPlan:
    """The plan of one batch prediction of the manifest's test split. Nothing is asked of the service.

    `model` is the resource name, `trained_by` the id of the job that made it. Raises InputError for a split without
    images or an image that the service does not take.
    """
    pictures = pictures_of(manifest)
    large = [picture for picture in pictures if picture.size > LARGEST_IMAGE_BYTES]
    if large:
        raise InputError(f"{large[0].path} has {large[0].size / 1e6:.1f} MB, the service takes 30 MB")
    estimate = batch_estimate(len(pictures))
    url = f"{connection.base_url}/predictions/{{job}}"
    return LaunchPlan(
        kind=JobKind.BATCH,
        connection=connection,
        manifest_hash=manifest.hash,
        request={"model": model, "trained_by": trained_by, "split": SPLIT, "images": len(pictures)},
        cost=cost_of(
            HourlyPrice(BATCH_NODE_HOUR, BATCH_NODE_HOUR.usd_per_hour),
            worst_hours=estimate.worst_hours,
            expected_hours=estimate.expected_hours,
            basis=estimate.basis,
        ),
        shown=(
            ("model", f"{model}, of {trained_by}"),
            ("images", f"{len(pictures):,} of the {SPLIT} split"),
            ("machine", "the service's own nodes, as many as it likes"),
        ),
        makes=(("batch prediction", "{job}"), ("folder", url)),
        leaves_behind=(f"instances and answers under {url}", "the batch prediction job, which costs nothing"),
        attempt=attempt,
        notes=(
            f"the service has no budget for predictions: the worst case is {WORST_FACTOR:g} times what is expected, "
            "and no bound",
        ),
    )


def output_url(plan: LaunchPlan) -> str:
    """Where the instances lie and the service writes."""
    return f"{plan.connection.base_url}/predictions/{plan.job_id}"


def submit_batch(plan: LaunchPlan, manifest: Manifest, *, on_step: Callable[[str], None]) -> Submitted:
    """Write the instances, create the job, return its resource name at once. An earlier job of the same plan is
    found by its label and returned instead."""
    connection = plan.connection
    if earlier := find_launched(plan):
        return Submitted(earlier.resource, found=True)
    pictures = pictures_of(manifest)
    on_step(f"writing {len(pictures):,} instances")
    store = connection.store(f"predictions/{plan.job_id}")
    store.replace_bytes(INSTANCES_FILE, _instances(connection, pictures).encode(), content_type="application/jsonl")
    client = job_client(connection)
    with google_errors("create the batch prediction"):
        job = client.create_batch_prediction_job(
            request={"parent": connection.parent, "batch_prediction_job": _resource(plan, len(manifest.classes))},
            timeout=REQUEST_TIMEOUT_S,
        )
    return Submitted(str(job.name))


def read_scores(connection: Connection, job: Job, manifest: Manifest) -> Scores:
    """The probabilities that a finished batch prediction wrote. Raises CheckFailed when an image of the test split has
    none, has two that differ, or one was answered that was not asked for; Fault when the service wrote nothing."""
    with google_errors(f"ask for {job.id}"):
        resource = job_client(connection).get_batch_prediction_job(name=job.resource, timeout=REQUEST_TIMEOUT_S)
    directory = str(resource.output_info.gcs_output_directory).rstrip("/")
    if not directory:
        raise Fault(f"{job.id}: the service did not say where it wrote the predictions")
    scores, pictures = Scores(manifest.classes), pictures_of(manifest)
    asked = {picture.path for picture in pictures}
    prefix = f"{connection.images_url}/"
    for name, line in _lines(connection, directory):
        instance = line.get("instance")
        url = str(instance.get("content", "")) if isinstance(instance, dict) else ""
        path = url.removeprefix(prefix)
        if not url.startswith(prefix) or path not in asked:
            raise CheckFailed(
                f"{directory}/{name} tells of {url or 'no image'}, which is no {SPLIT} image of this manifest",
                hint="predict it anew: --again",
            )
        prediction = line.get("prediction")
        if isinstance(prediction, dict):
            scores.add(path, prediction)
        else:
            scores.failures[path] = _reason(line)
    scores.check_complete(pictures)
    return scores


def billed_hours(connection: Connection, job: Job) -> float | None:
    """The replica hours that the service counted; None when it does not say."""
    with google_errors(f"ask for {job.id}"):
        resource = job_client(connection).get_batch_prediction_job(name=job.resource, timeout=REQUEST_TIMEOUT_S)
    hours = float(resource.resources_consumed.replica_hours) if resource.resources_consumed else 0.0
    return hours or None


def _instances(connection: Connection, pictures: Sequence[Picture]) -> str:
    lines = (
        {"content": f"{connection.images_url}/{picture.path}", "mimeType": picture.mime_type} for picture in pictures
    )
    return "".join(json.dumps(line) + "\n" for line in lines)


def _resource(plan: LaunchPlan, classes: int) -> dict[str, Any]:
    from google.protobuf import json_format, struct_pb2

    # Every label's confidence is wanted, not only those over a threshold.
    parameters = {"confidenceThreshold": 0.0, "maxPredictions": classes}
    where = output_url(plan)
    return {
        "display_name": plan.job_id,
        "labels": plan.labels,
        "model": plan.request["model"],
        "model_parameters": json_format.ParseDict(parameters, struct_pb2.Value()),
        "input_config": {"instances_format": "jsonl", "gcs_source": {"uris": [f"{where}/{INSTANCES_FILE}"]}},
        "output_config": {
            "predictions_format": "jsonl",
            "gcs_destination": {"output_uri_prefix": f"{where}/answers"},
        },
    }


def _lines(connection: Connection, directory: str) -> Iterator[tuple[str, dict[str, Any]]]:
    store = connection.open(directory)
    names = sorted(info.name for info in store.list() if info.name.endswith(_ANSWERS))
    if not names:
        raise Fault(f"there are no predictions at {directory}")
    for name in names:
        try:
            lines = store.get_bytes(name).decode("utf-8").split("\n")
        except UnicodeDecodeError as error:
            raise CheckFailed(f"{directory}/{name} is not UTF-8", hint="predict it anew: --again") from error
        for number, text in enumerate(lines, 1):
            try:
                line = parse_json(text) if text.strip() else None
            except ValueError as error:
                raise Fault(f"{directory}/{name}, line {number} is not JSON") from error
            if isinstance(line, dict):
                yield name, line


def _reason(line: dict[str, Any]) -> str:
    error = line.get("error") or line.get("status") or {}
    said = error.get("message") or error.get("status") if isinstance(error, dict) else error
    return " ".join(str(said or "the service gave no reason").split())[:300]
