"""Models on endpoints: deployModel, undeployModel.

Source: DeployModelRequest, UndeployModelRequest, DeployedModel of google.cloud.aiplatform.v1.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from typing import Any

from cxr.cloud.emulator.errors import failed_precondition, invalid_argument, not_found, unimplemented
from cxr.cloud.emulator.vertex_api.batch_prediction import unsupported_resources
from cxr.cloud.emulator.vertex_api.call import Call, VertexContext, require
from cxr.cloud.emulator.vertex_api.endpoints import check_traffic, deployed_ids
from cxr.cloud.emulator.vertex_api.machines import check_machine
from cxr.cloud.emulator.vertex_api.messages import JsonObject, now, packed, parse, types
from cxr.cloud.emulator.vertex_api.model_names import VERSION, name_without_version
from cxr.cloud.emulator.vertex_api.operations import begin, finish
from cxr.cloud.emulator.vertex_api.resource_store import change, find, new_id

#: What the traffic split of a deployment calls the model that is being deployed.
NEW = "0"
_DEPLOYED_ID = re.compile(r"[0-9]{1,10}")
_KINDS = {
    "automaticResources": "automatic_resources",
    "dedicatedResources": "dedicated_resources",
    "sharedResources": "shared_resources",
}


def deploy_model(context: VertexContext, call: Call) -> JsonObject:
    """endpoints.deployModel: an operation whose response is the deployed model.

    Raises 400 for resources that the model does not support or a bad traffic split, 404 for an unknown model or
    endpoint, 501 for a model with its own container. The program that answers is started by the first prediction.
    """
    request = parse(types.DeployModelRequest, call.body)
    deployed = require(request, "deployedModel", "deployed_model")
    model = find(context.read, name_without_version(require(deployed, "model", "deployed_model.model")))
    _check_resources(deployed, model)
    for key in ("explanationSpec", "fasterDeploymentConfig", "speculativeDecodingSpec"):
        if deployed.get(key):
            raise unimplemented(f"endpoints.deployModel with {key}")
    if "containerSpec" in model:
        find(context.read, call.name)
        raise unimplemented("the deployment of a model's own container")
    wanted = deployed.get("id", "")
    if wanted and not _DEPLOYED_ID.fullmatch(wanted):
        raise invalid_argument(f"Invalid deployed model ID {wanted!r}: 1-10 digits.", field="deployed_model.id")
    split = request.get("trafficSplit", {})
    with context.write() as connection:
        known = deployed_ids(find(connection, call.name))
        if wanted in known:
            raise invalid_argument(f"The deployed model {wanted} exists already.", field="deployed_model.id")
        check_traffic(split, known | {NEW})
        new = {
            **deployed,
            "id": wanted or new_id(connection),
            "model": model["name"],
            "modelVersionId": VERSION,
            "displayName": deployed.get("displayName") or model["displayName"],
            "createTime": now(),
        }

        def edit(endpoint: JsonObject) -> None:
            endpoint.setdefault("deployedModels", []).append(new)
            if split:
                endpoint["trafficSplit"] = {new["id"] if key == NEW else key: share for key, share in split.items()}

        change(connection, call.name, edit)
        reference = {"endpoint": call.name, "deployedModelId": new["id"]}
        change(connection, model["name"], lambda found: found.setdefault("deployedModels", []).append(reference))
        operation = begin(connection, call.name, "deploy", types.DeployModelOperationMetadata)
        finish(connection, operation["name"], response=packed(types.DeployModelResponse, {"deployedModel": new}))
    return operation


def undeploy_model(context: VertexContext, call: Call) -> JsonObject:
    """endpoints.undeployModel: an operation. FAILED_PRECONDITION while the model has traffic, unless it is the last."""
    request = parse(types.UndeployModelRequest, call.body)
    deployed_id = require(request, "deployedModelId", "deployed_model_id")
    split = request.get("trafficSplit", {})
    with context.write() as connection:
        endpoint = find(connection, call.name)
        left = [deployed for deployed in endpoint.get("deployedModels", []) if deployed["id"] != deployed_id]
        if len(left) == len(endpoint.get("deployedModels", [])):
            raise not_found(f"The deployed model {deployed_id!r} does not exist on {call.name}.")
        check_traffic(split, deployed_ids(endpoint))
        traffic = split or endpoint.get("trafficSplit", {})
        if left and traffic.get(deployed_id):
            raise failed_precondition(
                f"The deployed model {deployed_id} has {traffic[deployed_id]} % of the traffic; unassign it first."
            )

        def edit(endpoint: JsonObject) -> None:
            endpoint["deployedModels"] = left
            endpoint["trafficSplit"] = (
                {key: share for key, share in traffic.items() if key != deployed_id} if left else {}
            )

        change(connection, call.name, edit)
        _forget_reference(connection, endpoint, deployed_id)
        operation = begin(connection, call.name, "undeploy", types.UndeployModelOperationMetadata)
        finish(connection, operation["name"], response=packed(types.UndeployModelResponse, {}))
    context.scorers.end(scorer_key(call.name, deployed_id))
    return operation


def scorer_key(endpoint: str, deployed_id: str) -> str:
    """What the program of a deployed model is known by: ids are chosen by callers, only full names are unique."""
    return f"{endpoint}/deployedModels/{deployed_id}"


def _forget_reference(connection: sqlite3.Connection, endpoint: Mapping[str, Any], deployed_id: str) -> None:
    (model,) = {item["model"] for item in endpoint["deployedModels"] if item["id"] == deployed_id}

    def edit(found: JsonObject) -> None:
        found["deployedModels"] = [
            reference
            for reference in found.get("deployedModels", [])
            if (reference["endpoint"], reference["deployedModelId"]) != (endpoint["name"], deployed_id)
        ]

    change(connection, model, edit)


def _check_resources(deployed: Mapping[str, Any], model: Mapping[str, Any]) -> None:
    given = [key for key in _KINDS if key in deployed]
    if not given:
        raise invalid_argument("Required field is not set: prediction_resources.", field="deployed_model")
    kind = _KINDS[given[0]]
    if kind.upper() not in model.get("supportedDeploymentResourcesTypes", []):
        raise unsupported_resources(kind, model["name"])
    if kind == "shared_resources":
        raise unimplemented("deployment resource pools")
    resources = deployed[given[0]]
    if kind == "dedicated_resources":
        check_machine(require(resources, "machineSpec", "dedicated_resources.machine_spec"))
        require(resources, "minReplicaCount", "dedicated_resources.min_replica_count")
    least, most = int(resources.get("minReplicaCount", 0)), int(resources.get("maxReplicaCount", 0))
    if least < 0 or most < 0 or (most and most < least):
        raise invalid_argument(
            f"max_replica_count {most} is less than min_replica_count {least}.", field=f"{kind}.max_replica_count"
        )
