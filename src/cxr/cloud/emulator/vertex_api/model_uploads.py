"""models.upload: a model of one's own, stored as a resource; and the list of a model's versions.

Source: UploadModelRequest and Model of google.cloud.aiplatform.v1; what such a model supports is on record in
https://github.com/GoogleCloudPlatform/data-science-on-gcp/issues/154.
"""

from __future__ import annotations

import re

from cxr.cloud.emulator.errors import invalid_argument, not_found, unimplemented
from cxr.cloud.emulator.storage_api.internal import objects_below, split_uri
from cxr.cloud.emulator.vertex_api.call import Call, VertexContext, check_display_name, check_labels, require
from cxr.cloud.emulator.vertex_api.messages import JsonObject, now, packed, parse, types
from cxr.cloud.emulator.vertex_api.model_names import ALIAS, VERSION, name_without_version
from cxr.cloud.emulator.vertex_api.operations import begin, finish
from cxr.cloud.emulator.vertex_api.resource_store import find, insert, new_id

CUSTOM_FORMAT = "custom-trained"
#: UploadModelRequest.model_id.
_MODEL_ID = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
_OUTPUT_ONLY = (
    *("name", "versionId", "createTime", "updateTime", "versionCreateTime", "versionUpdateTime", "etag"),
    *("supportedExportFormats", "supportedDeploymentResourcesTypes", "supportedInputStorageFormats"),
    *("supportedOutputStorageFormats", "deployedModels", "trainingPipeline", "modelSourceInfo"),
)
_SUPPORTS = {
    "supportedExportFormats": [{"id": CUSTOM_FORMAT, "exportableContents": ["ARTIFACT"]}],
    "supportedDeploymentResourcesTypes": ["DEDICATED_RESOURCES", "SHARED_RESOURCES"],
    "supportedInputStorageFormats": ["jsonl", "bigquery", "csv", "tf-record", "tf-record-gzip", "file-list"],
    "supportedOutputStorageFormats": ["jsonl", "bigquery"],
    "modelSourceInfo": {"sourceType": "CUSTOM"},
}


def upload_model(context: VertexContext, call: Call) -> JsonObject:
    """models.upload: an operation whose response names the model.

    Raises 400 for a bad model, 404 when nothing is at its artifact URI, 409 when the id is taken, 501 for a further
    version.
    """
    request = parse(types.UploadModelRequest, call.body)
    if request.get("parentModel"):
        raise unimplemented("models.upload with parentModel (versions beyond the first)")
    model = require(request, "model", "model")
    check_display_name(model)
    check_labels(model.get("labels", {}), field="model.labels")
    container = require(model, "containerSpec", "model.container_spec")
    require(container, "imageUri", "model.container_spec.image_uri")
    if set(model.get("versionAliases", [])) - {ALIAS}:
        raise unimplemented("models.upload with versionAliases")
    wanted = request.get("modelId", "")
    if wanted and not _MODEL_ID.fullmatch(wanted):
        raise invalid_argument(f"Invalid model ID {wanted!r}.", field="model_id")
    _check_artifact(context, model.get("artifactUri", ""))
    moment = now()
    with context.write() as connection:
        name = f"{call.name}/{wanted or new_id(connection)}"
        stored = {
            **{key: value for key, value in model.items() if key not in _OUTPUT_ONLY},
            **_SUPPORTS,
            "name": name,
            "versionId": VERSION,
            "versionAliases": [ALIAS],
            **dict.fromkeys(("createTime", "updateTime", "versionCreateTime", "versionUpdateTime"), moment),
        }
        insert(connection, name, call.name, parse(types.Model, stored))
        operation = begin(connection, name, "upload", types.UploadModelOperationMetadata)
        response = packed(types.UploadModelResponse, {"model": name, "modelVersionId": VERSION})
        finish(connection, operation["name"], response=response)
    return operation


def list_versions(context: VertexContext, call: Call) -> JsonObject:
    """models.listVersions: there is one."""
    return {"models": [find(context.read, name_without_version(call.name))]}


def _check_artifact(context: VertexContext, uri: str) -> None:
    if not uri:
        return
    try:
        bucket, folder = split_uri(uri)
    except ValueError as error:
        raise invalid_argument(str(error), field="model.artifact_uri") from None
    prefix = folder.rstrip("/") + "/" if folder.rstrip("/") else ""
    if not objects_below(context.storage, bucket, prefix):
        raise not_found(f"There is no model artifact below {uri}.")
