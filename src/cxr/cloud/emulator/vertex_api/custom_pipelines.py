"""Custom training as a training pipeline: a dataset's items into the bucket, a custom job, a model of what it left.

Sources: custom_task_1.0.0.yaml (its inputs are a CustomJobSpec); google.cloud.aiplatform.v1 InputDataConfig (folder and
variables of gcs_destination); https://cloud.google.com/vertex-ai/docs/training/using-managed-datasets (the lines).
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cxr.cloud.emulator.errors import Code, RpcError, invalid_argument
from cxr.cloud.emulator.jobs.children import add_child
from cxr.cloud.emulator.jobs.supervisor import end_managed
from cxr.cloud.emulator.storage_api.context import StorageContext
from cxr.cloud.emulator.storage_api.internal import objects_below, split_uri, store_file
from cxr.cloud.emulator.vertex_api.call import VertexContext, require
from cxr.cloud.emulator.vertex_api.custom_jobs import insert_custom_job
from cxr.cloud.emulator.vertex_api.import_files import ML_USE_KEY
from cxr.cloud.emulator.vertex_api.job_states import set_ended
from cxr.cloud.emulator.vertex_api.messages import JsonObject, now, parse, types
from cxr.cloud.emulator.vertex_api.resource_store import change, find, insert
from cxr.cloud.emulator.vertex_api.splits import SETS, TrainingItem, assigned_items
from cxr.cloud.emulator.vertex_api.worker_pools import check_job_spec, check_output

KIND = "custom-pipeline"
TASK = "gs://google-cloud-aiplatform/schema/trainingjob/definition/custom_task_1.0.0.yaml"
ANNOTATION_SCHEMA = "gs://google-cloud-aiplatform/schema/dataset/annotation/image_classification_1.0.0.yaml"
DATA_FORMAT = "jsonl"
_MODEL_ID = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
_STATES = {
    "JOB_STATE_PENDING": "PIPELINE_STATE_PENDING",
    "JOB_STATE_RUNNING": "PIPELINE_STATE_RUNNING",
    "JOB_STATE_SUCCEEDED": "PIPELINE_STATE_SUCCEEDED",
    "JOB_STATE_FAILED": "PIPELINE_STATE_FAILED",
    "JOB_STATE_CANCELLED": "PIPELINE_STATE_CANCELLED",
}


def check_custom(storage: StorageContext, pipeline: Mapping[str, Any], region: str) -> None:
    """Raise 400 (501, 404) for inputs, a data destination or a model that the service does not take."""
    spec = _spec(pipeline)
    check_job_spec(storage, spec, region, "training_task_inputs")
    data = pipeline.get("inputDataConfig")
    if data is not None:
        target = require(data.get("gcsDestination", {}), "outputUriPrefix", "input_data_config.gcs_destination")
        check_output(storage, target, region, "input_data_config.gcs_destination.output_uri_prefix")
        schema = require(data, "annotationSchemaUri", "input_data_config.annotation_schema_uri")
        if schema != ANNOTATION_SCHEMA:
            raise invalid_argument(
                f"The annotation schema {schema!r} does not fit the dataset.",
                field="input_data_config.annotation_schema_uri",
            )
    model = pipeline.get("modelToUpload")
    if model is not None:
        require(model, "displayName", "model_to_upload.display_name")
        require(model.get("containerSpec", {}), "imageUri", "model_to_upload.container_spec.image_uri")
        require(spec.get("baseOutputDirectory", {}), "outputUriPrefix", "base_output_directory.output_uri_prefix")


def check_model_id(connection: sqlite3.Connection, parent: str, pipeline: Mapping[str, Any]) -> None:
    """Raise 400 for an id that no model can have, 409 for one that a model has already."""
    model_id = pipeline.get("modelId")
    if not model_id:
        return
    if not _MODEL_ID.fullmatch(model_id):
        raise invalid_argument(f"{model_id!r} is not a model id.", field="model_id")
    name = f"{parent}/models/{model_id}"
    if connection.execute("SELECT 1 FROM resources WHERE name=?", (name,)).fetchone():
        raise RpcError(Code.ALREADY_EXISTS, f"The model {name} already exists.")


class CustomPipeline:
    """The Coordinator of custom training pipelines, and the owner of their custom job."""

    def __init__(self, context: VertexContext) -> None:
        self._context = context

    def prepare(self, name: str) -> None:
        """Write the dataset's items, one file for each set that has any."""
        pipeline = find(self._context.read, name)
        data = pipeline.get("inputDataConfig")
        if data is None:
            return
        parent, _, pipeline_id = name.rpartition("/trainingPipelines/")
        dataset = f"{parent}/datasets/{data['datasetId']}"
        items = assigned_items(self._context.read, dataset, data, seed=pipeline_id)
        bucket, folder = split_uri(_data_folder(pipeline))
        staging = self._context.settings.jobs_dir / pipeline_id
        staging.mkdir(parents=True, exist_ok=True)
        for ml_use in SETS:
            chosen = [item for item in items if item.ml_use == ml_use]
            if chosen:
                path = staging / f"{ml_use}-00000-of-00001.{DATA_FORMAT}"
                path.write_text(_lines(chosen), encoding="utf-8")
                store_file(self._context.storage, bucket, f"{folder}/{path.name}", path)

    def begin(self, connection: sqlite3.Connection, name: str) -> None:
        """The custom job; its name stands in the pipeline's metadata."""
        pipeline = find(connection, name)
        job = {
            "displayName": f"{pipeline['displayName'][:117]}-custom-job",
            "jobSpec": _spec(pipeline),
            "labels": pipeline.get("labels", {}),
        }
        job = insert_custom_job(connection, name.rpartition("/trainingPipelines/")[0], job)
        environment: dict[str, str] = {}
        if "inputDataConfig" in pipeline:
            folder = _data_folder(pipeline)
            environment = {"AIP_DATA_FORMAT": DATA_FORMAT} | {
                f"AIP_{ml_use.upper()}_DATA_URI": f"{folder}/{ml_use}-*.{DATA_FORMAT}" for ml_use in SETS
            }
        add_child(connection, name, job["name"], {"environment": environment})
        change(
            connection, name, lambda pipeline: pipeline.update(trainingTaskMetadata={"backingCustomJob": job["name"]})
        )

    def child_changed(
        self, connection: sqlite3.Connection, parent: str, child: JsonObject, attempt_folder: Path | None
    ) -> None:
        """The pipeline has the state of its job; a model is made when that has succeeded."""
        pipeline = find(connection, parent)
        state = _STATES[child["state"]]
        if child["state"] in {"JOB_STATE_PENDING", "JOB_STATE_RUNNING"}:
            if pipeline["state"] != "PIPELINE_STATE_CANCELLING":
                pipeline["state"] = state
            if "startTime" in child:
                pipeline.setdefault("startTime", child["startTime"])
        else:
            error = child.get("error")
            if error is None and "modelToUpload" in pipeline:
                error = self._upload(connection, pipeline)
            pipeline["state"] = "PIPELINE_STATE_FAILED" if error and child["state"] == "JOB_STATE_SUCCEEDED" else state
            pipeline["endTime"] = now()
            if error:
                pipeline["error"] = error
            end_managed(connection, parent)
        change(connection, parent, lambda stored: stored.update(pipeline))

    def failed(self, connection: sqlite3.Connection, name: str, error: RpcError) -> None:
        """FAILED with the error."""
        change(connection, name, lambda pipeline: set_ended(pipeline, "FAILED", error))

    def cancelled(self, connection: sqlite3.Connection, name: str) -> None:
        """CANCELLED."""
        error = RpcError(Code.CANCELLED, "CANCELED")
        change(connection, name, lambda pipeline: set_ended(pipeline, "CANCELLED", error))

    def _upload(self, connection: sqlite3.Connection, pipeline: JsonObject) -> JsonObject | None:
        """Make the model of what lies in the model folder; the error when nothing does."""
        folder = _spec(pipeline)["baseOutputDirectory"]["outputUriPrefix"].rstrip("/") + "/model"
        bucket, prefix = split_uri(folder)
        if not objects_below(self._context.storage, bucket, f"{prefix}/"):
            message = f'There are no files under "{folder}" to copy.'
            return RpcError(Code.INVALID_ARGUMENT, message).status()
        model = _model(pipeline, folder)
        try:
            insert(connection, model["name"], model["name"].rpartition("/")[0], model)
        except RpcError as taken:  # another pipeline or an upload has made a model of this id meanwhile
            return taken.status()
        kept = ("name", "displayName", "labels", "versionId", "versionAliases", "artifactUri")
        pipeline["modelToUpload"] |= {key: model[key] for key in kept if key in model}
        return None


def _spec(pipeline: Mapping[str, Any]) -> JsonObject:
    inputs = pipeline.get("trainingTaskInputs")
    if not isinstance(inputs, dict):
        raise invalid_argument("Required field is not set: training_task_inputs.", field="training_task_inputs")
    return parse(types.CustomJobSpec, inputs)


def _data_folder(pipeline: Mapping[str, Any]) -> str:
    data = pipeline["inputDataConfig"]
    stamp = pipeline["createTime"][:23] + "Z"
    below = f"dataset-{data['datasetId']}-image_classification-{stamp}"
    return f"{data['gcsDestination']['outputUriPrefix'].rstrip('/')}/{below}"


def _lines(items: Sequence[TrainingItem]) -> str:
    entries = (
        {
            "imageGcsUri": item.uri,
            "classificationAnnotation": {"displayName": item.label},
            "dataItemResourceLabels": {ML_USE_KEY: item.ml_use},
        }
        for item in items
    )
    return "".join(json.dumps(entry) + "\n" for entry in entries)


def _model(pipeline: Mapping[str, Any], artifacts: str) -> JsonObject:
    parent, _, pipeline_id = pipeline["name"].rpartition("/trainingPipelines/")
    moment = now()
    aliases = pipeline["modelToUpload"].get("versionAliases", [])
    model = {
        **pipeline["modelToUpload"],
        "name": f"{parent}/models/{pipeline.get('modelId') or pipeline_id}",
        "artifactUri": artifacts,
        "trainingPipeline": pipeline["name"],
        "modelSourceInfo": {"sourceType": "CUSTOM"},
        "versionId": "1",
        "versionAliases": [*(alias for alias in aliases if alias != "default"), "default"],
        "createTime": moment,
        "updateTime": moment,
        "versionCreateTime": moment,
        "versionUpdateTime": moment,
    }
    return parse(types.Model, model)
