"""Models: get, list, patch, delete, export."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import UTC, datetime

from cxr.cloud.emulator.errors import failed_precondition, invalid_argument, not_found
from cxr.cloud.emulator.storage_api.internal import (
    bucket_exists,
    objects_below,
    read_object,
    split_uri,
    store_file,
)
from cxr.cloud.emulator.storage_api.objects import commit_object
from cxr.cloud.emulator.storage_api.preconditions import Preconditions
from cxr.cloud.emulator.vertex_api.automl_job import model_folder
from cxr.cloud.emulator.vertex_api.call import Call, VertexContext, check_display_name, check_labels, require
from cxr.cloud.emulator.vertex_api.messages import JsonObject, packed, parse, types
from cxr.cloud.emulator.vertex_api.model_names import name_without_version
from cxr.cloud.emulator.vertex_api.model_uploads import CUSTOM_FORMAT
from cxr.cloud.emulator.vertex_api.operations import begin, delete_at_once
from cxr.cloud.emulator.vertex_api.resource_store import (
    COMMON_FIELDS,
    change,
    find,
    list_page,
    listed,
    remove,
)

MODEL_FIELDS = {**COMMON_FIELDS, "model": "name", "training_pipeline": "trainingPipeline"}


def get_model(context: VertexContext, call: Call) -> JsonObject:
    """models.get; `@1` and `@default` name the only version there is."""
    return find(context.read, name_without_version(call.name))


def list_models(context: VertexContext, call: Call) -> JsonObject:
    """models.list."""
    return listed("models", list_page(context.read, call.name, call.query, MODEL_FIELDS))


def patch_model(context: VertexContext, call: Call) -> JsonObject:
    """models.patch: display name, description, labels, as the update mask says."""
    wanted = parse(types.Model, call.body)
    mask = [part.strip() for part in call.query.get("updateMask", "").split(",") if part.strip()]
    allowed = {
        "displayName": "displayName",
        "display_name": "displayName",
        "description": "description",
        "labels": "labels",
    }
    if not mask or any(part not in allowed for part in mask):
        raise invalid_argument(f"Invalid update mask {call.query.get('updateMask', '')!r}.", field="update_mask")
    if "displayName" in (allowed[part] for part in mask):
        check_display_name(wanted)
    check_labels(wanted.get("labels", {}))

    def edit(model: JsonObject) -> None:
        for part in mask:
            model[allowed[part]] = wanted.get(allowed[part], {} if part == "labels" else "")

    with context.write() as connection:
        return change(connection, name_without_version(call.name), edit)


def delete_model(context: VertexContext, call: Call) -> JsonObject:
    """models.delete: an operation; the exported files in the bucket stay. FAILED_PRECONDITION while it is deployed."""

    def forget(connection: sqlite3.Connection) -> None:
        deployed = find(connection, call.name).get("deployedModels", [])
        if deployed:
            where = ", ".join(sorted({reference["endpoint"] for reference in deployed}))
            raise failed_precondition(
                f"The Model is deployed or being deployed at the following Endpoint(s): {where}. "
                "Please undeploy the model before retry."
            )
        remove(connection, call.name)
        shutil.rmtree(model_folder(context, call.name), ignore_errors=True)

    return delete_at_once(context, call.name, forget)


def export_model(context: VertexContext, call: Call) -> JsonObject:
    """models.export: an operation whose metadata's outputInfo says where the files are (also while it runs).

    A format that the model does not have is FAILED_PRECONDITION in the service's words, which are on record in
    https://github.com/googleapis/python-aiplatform/issues/194.
    """
    name = name_without_version(call.name)
    model = find(context.read, name)
    request = parse(types.ExportModelRequest, call.body)
    config = require(request, "outputConfig", "output_config")
    supported = [item["id"] for item in model.get("supportedExportFormats", [])]
    format_id = config.get("exportFormatId") or next(iter(supported), "")
    if format_id not in supported:
        raise failed_precondition(f"Exporting artifact for model `{name}` in format `{format_id}` is not supported.")
    if "imageDestination" in config:
        raise invalid_argument("This model has no container image to export.", field="output_config.image_destination")
    prefix = require(config.get("artifactDestination", {}), "outputUriPrefix", "artifact_destination.output_uri_prefix")
    try:
        bucket, folder = split_uri(prefix)
    except ValueError as error:
        raise invalid_argument(str(error), field="artifact_destination.output_uri_prefix") from None
    if not bucket_exists(context.storage, bucket):
        raise not_found(f"The bucket gs://{bucket} does not exist.")
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    below = f"model-{name.rpartition('/')[2]}/{format_id}/{stamp}"
    target = "/".join(part for part in (folder.strip("/"), below) if part)
    work = {"model": name, "format": format_id, "bucket": bucket, "folder": target}
    details = {"outputInfo": {"artifactOutputUri": f"gs://{bucket}/{target}"}}
    with context.write() as connection:
        operation = begin(connection, name, "export", types.ExportModelOperationMetadata, work, details)
    context.wake_operations()
    return operation


def export_work(context: VertexContext, work_input: JsonObject) -> tuple[JsonObject, JsonObject]:
    """Copy a model's files of one format, or those of an uploaded model, into the bucket."""
    model, bucket = find(context.read, work_input["model"]), work_input["bucket"]
    if work_input["format"] == CUSTOM_FORMAT:
        _copy_artifact(context, model.get("artifactUri", ""), bucket, work_input["folder"])
        return packed(types.ExportModelResponse, {}), {}
    source = model_folder(context, model["name"]) / work_input["format"]
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        store_file(context.storage, bucket, f"{work_input['folder']}/{path.relative_to(source).as_posix()}", path)
    return packed(types.ExportModelResponse, {}), {}


def _copy_artifact(context: VertexContext, uri: str, bucket: str, folder: str) -> None:
    if not uri:
        raise failed_precondition("The model has no artifact.")
    source, prefix = split_uri(uri.rstrip("/") + "/")
    for row in objects_below(context.storage, source, prefix):
        blob = context.storage.blobs.write([read_object(context.storage, row)])
        name = f"{folder}/{row['name'].removeprefix(prefix)}"
        commit_object(context.storage, bucket, name, blob, {}, Preconditions())
