"""Batch prediction jobs: create, get, list, cancel, delete.

Source: BatchPredictionJob of google.cloud.aiplatform.v1,
https://cloud.google.com/vertex-ai/docs/image-data/classification/get-predictions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cxr.cloud.emulator.errors import RpcError, invalid_argument, not_found, unimplemented
from cxr.cloud.emulator.jobs.supervisor import add_job
from cxr.cloud.emulator.storage_api.internal import bucket_exists, split_uri
from cxr.cloud.emulator.vertex_api import job_states
from cxr.cloud.emulator.vertex_api.call import Call, VertexContext, check_display_name, check_labels, require
from cxr.cloud.emulator.vertex_api.machines import check_machine
from cxr.cloud.emulator.vertex_api.messages import JsonObject, now, parse, types
from cxr.cloud.emulator.vertex_api.model_names import VERSION, name_without_version
from cxr.cloud.emulator.vertex_api.predictions import prediction_parameters
from cxr.cloud.emulator.vertex_api.resource_store import COMMON_FIELDS, find, insert, list_page, listed, new_id

KIND = "batch"
BATCH_FIELDS = {**COMMON_FIELDS, "model": "model"}
_OUTPUT_ONLY = (
    *("name", "state", "error", "createTime", "startTime", "endTime", "updateTime", "outputInfo", "partialFailures"),
    *("completionStats", "resourcesConsumed", "modelVersionId"),
)


def create_batch_job(context: VertexContext, call: Call) -> JsonObject:
    """batchPredictionJobs.create. Raises 400 for a bad request or a model that the service does not predict with, 404
    for an unknown model or output bucket."""
    job = parse(types.BatchPredictionJob, call.body)
    check_display_name(job)
    check_labels(job.get("labels", {}))
    for key in (
        "unmanagedContainerModel",
        "generateExplanation",
        "explanationSpec",
        "instanceConfig",
        "encryptionSpec",
    ):
        if job.get(key):
            raise unimplemented(f"batchPredictionJobs.create with {key}")
    model = _model(context, call, require(job, "model", "model"))
    _check_input(require(job, "inputConfig", "input_config"), model)
    _check_output(context, require(job, "outputConfig", "output_config"), model)
    _check_resources(job.get("dedicatedResources"), model)
    if "containerSpec" in model:
        raise unimplemented("batch prediction with a model's own container")
    prediction_parameters(job.get("modelParameters"), field="model_parameters")
    moment = now()
    with context.write() as connection:
        job_id = new_id(connection)
        name = f"{call.name}/{job_id}"
        job = {
            **{key: value for key, value in job.items() if key not in _OUTPUT_ONLY},
            "name": name,
            "model": model["name"],
            "modelVersionId": VERSION,
            "state": "JOB_STATE_PENDING",
            "createTime": moment,
            "updateTime": moment,
        }
        insert(connection, name, call.name, job)
        add_job(connection, name, KIND, job_id)
    context.wake_jobs()
    return job


def get_batch_job(context: VertexContext, call: Call) -> JsonObject:
    """batchPredictionJobs.get."""
    return find(context.read, call.name)


def list_batch_jobs(context: VertexContext, call: Call) -> JsonObject:
    """batchPredictionJobs.list."""
    return listed("batchPredictionJobs", list_page(context.read, call.name, call.query, BATCH_FIELDS))


def cancel_batch_job(context: VertexContext, call: Call) -> JsonObject:
    """batchPredictionJobs.cancel: answers at once; the state goes by CANCELLING to CANCELLED."""
    return job_states.cancel(context, call, "job")


def delete_batch_job(context: VertexContext, call: Call) -> JsonObject:
    """batchPredictionJobs.delete: an operation; a job that has not ended must be cancelled first."""
    # The SDK's REST transport knows no operations below this kind of job: only those of the location.
    return job_states.delete(context, call, "job", parent=call.parent)


def unsupported_resources(kind: str, model_name: str) -> RpcError:
    """400 in the service's words, which are on record in https://github.com/googleapis/python-aiplatform/issues/773."""
    return invalid_argument(f"'{kind}' is not supported for Model {model_name}.", field=kind)


def _model(context: VertexContext, call: Call, name: str) -> JsonObject:
    model = find(context.read, name_without_version(name))
    if not model["name"].startswith(f"{call.parent}/models/"):
        raise invalid_argument(f"The model {name!r} is not in {call.parent}.", field="model")
    return model


def _check_input(config: Mapping[str, Any], model: Mapping[str, Any]) -> None:
    supported = model.get("supportedInputStorageFormats", [])
    name = require(config, "instancesFormat", "input_config.instances_format")
    if name not in supported:
        raise invalid_argument(
            f"Input format {name!r} is not supported by the model {model['name']}; "
            f"it supports {', '.join(supported) or 'no batch prediction'}.",
            field="input_config.instances_format",
        )
    source = require(config, "gcsSource", "input_config.gcs_source")
    for uri in require(source, "uris", "input_config.gcs_source.uris"):
        _split(uri, "input_config.gcs_source.uris")


def _check_output(context: VertexContext, config: Mapping[str, Any], model: Mapping[str, Any]) -> None:
    supported = model.get("supportedOutputStorageFormats", [])
    name = require(config, "predictionsFormat", "output_config.predictions_format")
    if name not in supported:
        raise invalid_argument(
            f"Output format {name!r} is not supported by the model {model['name']}; it supports "
            f"{', '.join(supported)}.",
            field="output_config.predictions_format",
        )
    field = "output_config.gcs_destination.output_uri_prefix"
    destination = require(config, "gcsDestination", "output_config.gcs_destination")
    bucket, _ = _split(require(destination, "outputUriPrefix", field), field)
    if not bucket_exists(context.storage, bucket):
        raise not_found(f"The bucket gs://{bucket} does not exist.")


def _check_resources(resources: Mapping[str, Any] | None, model: Mapping[str, Any]) -> None:
    supported = model.get("supportedDeploymentResourcesTypes", [])
    if resources is None:
        if "AUTOMATIC_RESOURCES" not in supported:
            raise invalid_argument("Required field is not set: dedicated_resources.", field="dedicated_resources")
        return
    if "DEDICATED_RESOURCES" not in supported:
        raise unsupported_resources("dedicated_resources", model["name"])
    check_machine(require(resources, "machineSpec", "dedicated_resources.machine_spec"))


def _split(uri: str, field: str) -> tuple[str, str]:
    try:
        return split_uri(uri)
    except ValueError as error:
        raise invalid_argument(str(error), field=field) from None
