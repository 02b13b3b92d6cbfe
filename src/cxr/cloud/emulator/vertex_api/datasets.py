"""Image datasets: create, get, list, patch, import, delete."""

from __future__ import annotations

import sqlite3
from typing import Any

from cxr.cloud.emulator.errors import invalid_argument, unimplemented
from cxr.cloud.emulator.vertex_api.call import Call, VertexContext, check_display_name, check_labels, require
from cxr.cloud.emulator.vertex_api.importing import count_items
from cxr.cloud.emulator.vertex_api.messages import JsonObject, now, packed, parse, types
from cxr.cloud.emulator.vertex_api.operations import begin, delete_at_once, finish
from cxr.cloud.emulator.vertex_api.resource_store import (
    COMMON_FIELDS,
    change,
    find,
    insert,
    list_page,
    listed,
    new_id,
    remove,
)

SCHEMAS = "gs://google-cloud-aiplatform/schema/dataset/"
IMAGE_SCHEMA = SCHEMAS + "metadata/image_1.0.0.yaml"
SINGLE_LABEL_SCHEMA = SCHEMAS + "ioformat/image_classification_single_label_io_format_1.0.0.yaml"
DATASET_FIELDS = {**COMMON_FIELDS, "metadata_schema_uri": "metadataSchemaUri"}
_OUTPUT_ONLY = ("name", "createTime", "updateTime", "etag", "dataItemCount")


def create_dataset(context: VertexContext, call: Call) -> JsonObject:
    """datasets.create: an operation whose response is the dataset."""
    dataset = parse(types.Dataset, call.body)
    check_display_name(dataset)
    check_labels(_user_labels(dataset))
    schema = require(dataset, "metadataSchemaUri", "metadata_schema_uri")
    if schema != IMAGE_SCHEMA:
        if schema.startswith(SCHEMAS + "metadata/"):
            raise unimplemented(f"datasets of the schema {schema}")
        raise invalid_argument(f"Unsupported metadata_schema_uri {schema!r}.", field="metadata_schema_uri")
    moment = now()
    with context.write() as connection:
        name = f"{call.name}/{new_id(connection)}"
        dataset = {
            **{key: value for key, value in dataset.items() if key not in _OUTPUT_ONLY},
            "name": name,
            "createTime": moment,
            "updateTime": moment,
            "labels": {**dataset.get("labels", {}), "aiplatform.googleapis.com/dataset_metadata_schema": "IMAGE"},
            "metadata": {"dataItemSchemaUri": SCHEMAS + "dataitem/image_1.0.0.yaml"},
        }
        insert(connection, name, call.name, dataset)
        operation = begin(connection, name, "create", types.CreateDatasetOperationMetadata)
        finish(connection, operation["name"], response=packed(types.Dataset, dataset))
    return operation


def get_dataset(context: VertexContext, call: Call) -> JsonObject:
    """datasets.get, with the number of its items."""
    return _with_count(context.read, find(context.read, call.name))


def list_datasets(context: VertexContext, call: Call) -> JsonObject:
    """datasets.list."""
    items, token = list_page(context.read, call.name, call.query, DATASET_FIELDS)
    return listed("datasets", ([_with_count(context.read, item) for item in items], token))


def patch_dataset(context: VertexContext, call: Call) -> JsonObject:
    """datasets.patch: display name, description, labels, as the update mask says."""
    wanted = parse(types.Dataset, call.body)
    mask = [part.strip() for part in call.query.get("updateMask", "").split(",") if part.strip()]
    allowed = {
        "displayName": "displayName",
        "display_name": "displayName",
        "description": "description",
        "labels": "labels",
    }
    unknown = [part for part in mask if part not in allowed]
    if unknown or not mask:
        raise invalid_argument(f"Invalid update mask {call.query.get('updateMask', '')!r}.", field="update_mask")
    check_labels(_user_labels(wanted))

    def edit(dataset: JsonObject) -> None:
        for part in mask:
            if allowed[part] in wanted:
                dataset[allowed[part]] = wanted[allowed[part]]
            else:
                dataset.pop(allowed[part], None)

    with context.write() as connection:
        return change(connection, call.name, edit)


def delete_dataset(context: VertexContext, call: Call) -> JsonObject:
    """datasets.delete: the images in the bucket stay."""
    find(context.read, call.name)

    def forget(connection: sqlite3.Connection) -> None:
        remove(connection, call.name)
        connection.execute("DELETE FROM data_items WHERE dataset=?", (call.name,))

    return delete_at_once(context, call.name, forget)


def import_data(context: VertexContext, call: Call) -> JsonObject:
    """datasets.import: an operation; what could not be read stands in its metadata's partialFailures."""
    request = parse(types.ImportDataRequest, call.body)
    configs = require(request, "importConfigs", "import_configs")
    for config in configs:
        if not config.get("gcsSource", {}).get("uris"):
            raise invalid_argument("Required field is not set: gcs_source.uris.", field="import_configs.gcs_source")
        schema = require(config, "importSchemaUri", "import_schema_uri")
        if schema != SINGLE_LABEL_SCHEMA:
            if schema.startswith(SCHEMAS + "ioformat/"):
                raise unimplemented(f"import of {schema}")
            raise invalid_argument(f"Unsupported import_schema_uri {schema!r}.", field="import_schema_uri")
    find(context.read, call.name)
    with context.write() as connection:
        operation = begin(
            connection,
            call.name,
            "import",
            types.ImportDataOperationMetadata,
            {"dataset": call.name, "configs": configs},
        )
    context.wake_operations()
    return operation


def _with_count(connection: sqlite3.Connection, dataset: JsonObject) -> JsonObject:
    items = count_items(connection, dataset["name"])
    return {**dataset, "dataItemCount": str(items)} if items else dataset


def _user_labels(dataset: JsonObject) -> dict[str, Any]:
    return {
        key: value
        for key, value in dataset.get("labels", {}).items()
        if not key.startswith("aiplatform.googleapis.com/")
    }
