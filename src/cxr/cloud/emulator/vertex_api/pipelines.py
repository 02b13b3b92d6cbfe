"""Training pipelines, of AutoML image classification and of custom training: create, get, list, cancel, delete."""

from __future__ import annotations

import sqlite3

from cxr.cloud.emulator.errors import invalid_argument, not_found, unimplemented
from cxr.cloud.emulator.jobs.supervisor import add_job
from cxr.cloud.emulator.vertex_api import custom_pipelines, job_states
from cxr.cloud.emulator.vertex_api.automl_task import check_inputs, check_task
from cxr.cloud.emulator.vertex_api.call import Call, VertexContext, check_display_name, check_labels, require
from cxr.cloud.emulator.vertex_api.messages import JsonObject, now, parse, types
from cxr.cloud.emulator.vertex_api.resource_store import COMMON_FIELDS, find, insert, list_page, listed, new_id
from cxr.cloud.emulator.vertex_api.splits import check_split

KIND = "automl"
PIPELINE_FIELDS = {**COMMON_FIELDS, "training_task_definition": "trainingTaskDefinition"}
_OUTPUT_ONLY = ("name", "state", "error", "createTime", "startTime", "endTime", "updateTime", "trainingTaskMetadata")


def create_pipeline(context: VertexContext, call: Call) -> JsonObject:
    """trainingPipelines.create. Raises 400 for bad inputs, 404 for an unknown dataset or bucket."""
    pipeline = parse(types.TrainingPipeline, call.body)
    check_display_name(pipeline)
    check_labels(pipeline.get("labels", {}))
    is_custom = require(pipeline, "trainingTaskDefinition", "training_task_definition") == custom_pipelines.TASK
    for key in ("parentModel", "encryptionSpec") if is_custom else ("parentModel", "modelId", "encryptionSpec"):
        if pipeline.get(key):
            raise unimplemented(f"trainingPipelines.create with {key}")
    check_labels(pipeline.get("modelToUpload", {}).get("labels", {}), field="model_to_upload.labels")
    if is_custom:
        custom_pipelines.check_custom(context.storage, pipeline, call.location)
    else:
        check_task(pipeline["trainingTaskDefinition"], call.location)
        check_inputs(pipeline.get("trainingTaskInputs"))
        require(pipeline, "inputDataConfig", "input_data_config")
    moment = now()
    with context.write() as connection:
        _check_data(connection, call, pipeline.get("inputDataConfig"))
        if is_custom:
            custom_pipelines.check_model_id(connection, call.parent, pipeline)
        job_id = new_id(connection)
        name = f"{call.name}/{job_id}"
        pipeline = {
            **{key: value for key, value in pipeline.items() if key not in _OUTPUT_ONLY},
            "name": name,
            "state": "PIPELINE_STATE_PENDING",
            "createTime": moment,
            "updateTime": moment,
        }
        insert(connection, name, call.name, pipeline)
        add_job(connection, name, custom_pipelines.KIND if is_custom else KIND, job_id)
    context.wake_jobs()
    return pipeline


def _check_data(connection: sqlite3.Connection, call: Call, data: JsonObject | None) -> None:
    if data is None:
        return
    dataset_id = require(data, "datasetId", "input_data_config.dataset_id")
    check_split(data)
    dataset = f"{call.parent}/datasets/{dataset_id}"
    if connection.execute("SELECT 1 FROM resources WHERE name=?", (dataset,)).fetchone() is None:
        raise not_found(f"The dataset {dataset!r} does not exist.")
    if connection.execute("SELECT 1 FROM data_items WHERE dataset=? LIMIT 1", (dataset,)).fetchone() is None:
        raise invalid_argument(f"The dataset {dataset!r} has no data items.", field="input_data_config.dataset_id")


def get_pipeline(context: VertexContext, call: Call) -> JsonObject:
    """trainingPipelines.get."""
    return find(context.read, call.name)


def list_pipelines(context: VertexContext, call: Call) -> JsonObject:
    """trainingPipelines.list."""
    return listed("trainingPipelines", list_page(context.read, call.name, call.query, PIPELINE_FIELDS))


def cancel_pipeline(context: VertexContext, call: Call) -> JsonObject:
    """trainingPipelines.cancel: answers at once; the state goes by CANCELLING to CANCELLED."""
    return job_states.cancel(context, call, "pipeline")


def delete_pipeline(context: VertexContext, call: Call) -> JsonObject:
    """trainingPipelines.delete: an operation; a pipeline that has not ended must be cancelled first."""
    return job_states.delete(context, call, "pipeline")
