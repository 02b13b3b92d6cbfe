"""Cloud Resource Manager v3: what a project is, and who has which role in it.

Source: https://cloud.google.com/resource-manager/reference/rest/v3/projects. Simplified: every project exists that the
circumstances do not call missing; its policy cannot be changed.
"""

from __future__ import annotations

import re
from typing import Any

from google.iam.v1 import iam_policy_pb2
from google.protobuf import json_format, message

from cxr.cloud.emulator.errors import RpcError, invalid_argument, unimplemented
from cxr.cloud.emulator.http import Request
from cxr.cloud.emulator.project_api.circumstances import Circumstances
from cxr.cloud.emulator.project_numbers import project_number
from cxr.cloud.emulator.vertex_api.messages import JsonObject, json_object

#: The roles that Vertex AI's service agents are given: https://cloud.google.com/vertex-ai/docs/general/access-control.
AGENT_ROLES = {
    "gcp-sa-aiplatform": "roles/aiplatform.serviceAgent",
    "gcp-sa-aiplatform-cc": "roles/aiplatform.customCodeServiceAgent",
}
_PROJECT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]|[a-z0-9.-]+:[a-z][a-z0-9-]+|\d+")


def answer(request: Request, path: tuple[str, ...], now: Circumstances) -> JsonObject:
    """Everything below /v3/projects. Raises RpcError."""
    if len(path) != 1:
        raise unimplemented(f"cloudresourcemanager {request.method} {request.raw_path}")
    project, _, verb = path[0].partition(":")
    match request.method, verb:
        case "GET", "":
            return _project(project, now)
        case "POST", "getIamPolicy":
            _parsed(iam_policy_pb2.GetIamPolicyRequest(), request)
            return _policy(project, now)
        case "POST", "testIamPermissions":
            body = _parsed(iam_policy_pb2.TestIamPermissionsRequest(), request)
            return {"permissions": [one for one in body.get("permissions", []) if one not in now.denied_permissions]}
    raise unimplemented(f"projects.{verb or request.method.lower()}")


def check_project(project: str) -> None:
    """Raises 400 for what cannot be a project's id or number."""
    if not _PROJECT.fullmatch(project):
        raise invalid_argument(f"field [name] has issue [Invalid project: {project!r}]", field="name")


def _project(project: str, now: Circumstances) -> JsonObject:
    check_project(project)
    return {
        "name": f"projects/{project_number(project)}",
        "projectId": project,
        "displayName": project,
        "state": now.state,
        "createTime": "2026-01-01T00:00:00Z",
        "etag": 'W/"1"',
    }


def _policy(project: str, now: Circumstances) -> JsonObject:
    check_project(project)
    number = project_number(project)
    bindings: list[JsonObject] = [{"role": "roles/owner", "members": ["user:owner@example.com"]}]
    for agent in now.agents:
        member = f"serviceAccount:service-{number}@{agent}.iam.gserviceaccount.com"
        bindings.append({"role": AGENT_ROLES[agent], "members": [member]})
    return {"version": 1, "etag": "BwY=", "bindings": bindings}


def _parsed(target: message.Message, request: Request) -> dict[str, Any]:
    try:
        json_format.ParseDict(json_object(request.body.read()), target)
    except (json_format.Error, ValueError, TypeError, AttributeError) as error:
        raise _invalid(error) from None
    parsed: dict[str, Any] = json_format.MessageToDict(target)
    return parsed


def _invalid(error: Exception) -> RpcError:
    return invalid_argument(f"Invalid JSON payload received. {error}")
