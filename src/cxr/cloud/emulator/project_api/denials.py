"""Requests that are refused for who asks, or for what the project lacks: 401 and 403 as the services word them.

Source: https://cloud.google.com/apis/design/errors#error_details (ErrorInfo) and
https://cloud.google.com/storage/docs/json_api/v1/status-codes.
"""

from __future__ import annotations

from typing import Any

from cxr.cloud.emulator.errors import ApiError
from cxr.cloud.emulator.http import Request, Response, json_response
from cxr.cloud.emulator.operation_names import operation_name
from cxr.cloud.emulator.project_api.circumstances import Circumstances
from cxr.cloud.emulator.project_numbers import project_number

#: First part of an operation's name -> the API; the same name plus `.googleapis.com` where it is not here.
_PERMISSION_PREFIX = {"cloudresourcemanager": "resourcemanager"}
#: Operations whose permission has another name (https://cloud.google.com/iam/docs/permissions-reference).
_PERMISSIONS = {
    "storage.objects.insert": "storage.objects.create",
    "storage.objects.compose": "storage.objects.create",
    "storage.objects.copy": "storage.objects.create",
    "storage.objects.rewrite": "storage.objects.create",
    "storage.objects.patch": "storage.objects.update",
    "storage.buckets.insert": "storage.buckets.create",
    "storage.buckets.patch": "storage.buckets.update",
    "serviceusage.services.batchGet": "serviceusage.services.get",
    "cloudquotas.quotaInfos.get": "cloudquotas.quotas.get",
    "cloudquotas.quotaInfos.list": "cloudquotas.quotas.get",
    "cloudbuild.builds.cancel": "cloudbuild.builds.update",
    "cloudbuild.operations.get": "cloudbuild.builds.get",
    "logging.entries.list": "logging.logEntries.list",
}


class DenialError(ApiError):
    """401 or 403; `is_storage` says in which shape."""

    def __init__(self, status: int, message: str, reason: str, *, is_storage: bool, **metadata: str) -> None:
        super().__init__(message)
        self.status, self.message, self.reason, self.is_storage = status, message, reason, is_storage
        self.metadata = metadata

    def response(self) -> Response:
        """The answer in the service's shape."""
        error: dict[str, Any] = {"code": self.status, "message": self.message}
        if self.is_storage:
            reason = {401: "authError", 403: "forbidden"}[self.status]
            error["errors"] = [{"message": self.message, "domain": "global", "reason": reason}]
        else:
            error["status"] = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED"}[self.status]
            info = {"reason": self.reason, "domain": "googleapis.com", "metadata": self.metadata}
            error["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", **info}]
        headers = {"WWW-Authenticate": 'Bearer realm="https://accounts.google.com/"'} if self.status == 401 else {}
        return json_response({"error": error}, status=self.status, headers=headers)


def refuse(request: Request, now: Circumstances) -> None:
    """Raises DenialError when the circumstances do not permit the request."""
    operation = operation_name(request.method, request.segments)
    api, _, rest = operation.partition(".")
    is_storage = api == "storage"
    if api in {"oauth2", "other"}:
        return
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if now.signed_out or (kind.lower() == "bearer" and token in now.refused_tokens):
        raise DenialError(
            401, "The credentials of the request are not valid.", "ACCESS_TOKEN_EXPIRED", is_storage=is_storage
        )
    project = _project(request)
    consumer = f"projects/{project_number(project)}" if project else ""
    service = f"{api}.googleapis.com"
    # Which APIs are enabled can be asked as long as Service Usage is not disabled itself.
    if service in now.disabled_services:
        words = f"{service} has not been used in project {project or '-'} before or it is disabled."
        raise DenialError(403, words, "SERVICE_DISABLED", is_storage=is_storage, service=service, consumer=consumer)
    permission = _PERMISSIONS.get(operation, f"{_PERMISSION_PREFIX.get(api, api)}.{rest}")
    if permission in now.denied_permissions or project in now.missing_projects:
        words = f"Permission '{permission}' denied on resource (or it may not exist)."
        raise DenialError(403, words, "IAM_PERMISSION_DENIED", is_storage=is_storage, permission=permission)


def _project(request: Request) -> str:
    match request.segments:
        case ("v1" | "ui" | "v3", "projects", name, *_):
            return name.partition(":")[0]
    return request.query.get("project", "")
