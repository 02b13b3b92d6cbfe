"""Endpoints: create, get, list, patch, delete.

Source: Endpoint and EndpointService of google.cloud.aiplatform.v1.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from typing import Any

from cxr.cloud.emulator.errors import failed_precondition, invalid_argument, unimplemented
from cxr.cloud.emulator.vertex_api.call import Call, VertexContext, check_display_name, check_labels
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

ENDPOINT_FIELDS = {**COMMON_FIELDS, "endpoint": "name"}
#: CreateEndpointRequest.endpoint_id.
_ENDPOINT_ID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?|[1-9][0-9]{0,8}")
_OUTPUT_ONLY = ("name", "createTime", "updateTime", "etag", "deployedModels", "trafficSplit")
_NOT_HERE = (
    *("network", "enablePrivateServiceConnect", "privateServiceConnectConfig", "dedicatedEndpointEnabled"),
    *("encryptionSpec", "predictRequestResponseLoggingConfig", "privateModelServerEnabled"),
)
_PATCHED = {
    "displayName": "displayName",
    "display_name": "displayName",
    "description": "description",
    "labels": "labels",
    "trafficSplit": "trafficSplit",
    "traffic_split": "trafficSplit",
}


def create_endpoint(context: VertexContext, call: Call) -> JsonObject:
    """endpoints.create: an operation whose response is the endpoint. Raises 400, or 409 when the id is taken."""
    endpoint = parse(types.Endpoint, call.body)
    check_display_name(endpoint)
    check_labels(endpoint.get("labels", {}))
    for key in _NOT_HERE:
        if endpoint.get(key):
            raise unimplemented(f"endpoints.create with {key}")
    wanted = call.query.get("endpointId", "")
    if wanted and not _ENDPOINT_ID.fullmatch(wanted):
        raise invalid_argument(f"Invalid endpoint ID {wanted!r}.", field="endpoint_id")
    moment = now()
    with context.write() as connection:
        name = f"{call.name}/{wanted or new_id(connection)}"
        endpoint = {
            **{key: value for key, value in endpoint.items() if key not in _OUTPUT_ONLY},
            "name": name,
            "createTime": moment,
            "updateTime": moment,
        }
        insert(connection, name, call.name, endpoint)
        operation = begin(connection, name, "create", types.CreateEndpointOperationMetadata)
        finish(connection, operation["name"], response=packed(types.Endpoint, endpoint))
    return operation


def get_endpoint(context: VertexContext, call: Call) -> JsonObject:
    """endpoints.get."""
    return find(context.read, call.name)


def list_endpoints(context: VertexContext, call: Call) -> JsonObject:
    """endpoints.list."""
    return listed("endpoints", list_page(context.read, call.name, call.query, ENDPOINT_FIELDS))


def patch_endpoint(context: VertexContext, call: Call) -> JsonObject:
    """endpoints.patch: display name, description, labels, traffic split, as the update mask says."""
    wanted = parse(types.Endpoint, call.body)
    mask = [part.strip() for part in call.query.get("updateMask", "").split(",") if part.strip()]
    if not mask or any(part not in _PATCHED for part in mask):
        raise invalid_argument(f"Invalid update mask {call.query.get('updateMask', '')!r}.", field="update_mask")
    parts = {_PATCHED[part] for part in mask}
    if "displayName" in parts:
        check_display_name(wanted)
    check_labels(wanted.get("labels", {}))

    def edit(endpoint: JsonObject) -> None:
        if "trafficSplit" in parts:
            check_traffic(wanted.get("trafficSplit", {}), deployed_ids(endpoint))
        for part in parts:
            endpoint[part] = wanted.get(part, {} if part in {"labels", "trafficSplit"} else "")

    with context.write() as connection:
        return change(connection, call.name, edit)


def delete_endpoint(context: VertexContext, call: Call) -> JsonObject:
    """endpoints.delete: an operation. FAILED_PRECONDITION while models are deployed on it."""

    def forget(connection: sqlite3.Connection) -> None:
        if find(connection, call.name).get("deployedModels"):
            raise failed_precondition(f"Endpoint {call.name} has deployed or being-deployed DeployedModel(s).")
        remove(connection, call.name)

    return delete_at_once(context, call.name, forget)


def deployed_ids(endpoint: Mapping[str, Any]) -> set[str]:
    """The ids of the models that are deployed on an endpoint."""
    return {deployed["id"] for deployed in endpoint.get("deployedModels", [])}


def check_traffic(split: Mapping[str, int], known: set[str]) -> None:
    """Raise 400 unless a traffic split is empty, or is of deployed models and adds up to 100."""
    unknown = sorted(set(split) - known)
    if unknown:
        raise invalid_argument(
            f"Traffic split names {unknown[0]!r}, which is not deployed here.", field="traffic_split"
        )
    if any(share < 0 for share in split.values()) or (split and sum(split.values()) != 100):
        raise invalid_argument(
            f"The percentages of a traffic split must add up to 100, not {sum(split.values())}.", field="traffic_split"
        )
