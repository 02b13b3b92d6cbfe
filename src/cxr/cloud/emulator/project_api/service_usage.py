"""Service Usage v1: which APIs a project has. All, but for those that the circumstances call disabled.

Source: https://cloud.google.com/service-usage/docs/reference/rest/v1/services (batchGet: at most 30 names, a service
that does not exist is PERMISSION_DENIED).
"""

from __future__ import annotations

from collections.abc import Sequence

from cxr.cloud.emulator.errors import Code, RpcError, invalid_argument, unimplemented
from cxr.cloud.emulator.http import Request
from cxr.cloud.emulator.project_api.circumstances import Circumstances
from cxr.cloud.emulator.project_numbers import project_number
from cxr.cloud.emulator.vertex_api.messages import JsonObject

MAX_NAMES = 30
MAX_PAGE = 200
#: APIs that there are, with their titles.
SERVICES = {
    "aiplatform.googleapis.com": "Vertex AI API",
    "artifactregistry.googleapis.com": "Artifact Registry API",
    "cloudbuild.googleapis.com": "Cloud Build API",
    "cloudquotas.googleapis.com": "Cloud Quotas API",
    "cloudresourcemanager.googleapis.com": "Cloud Resource Manager API",
    "compute.googleapis.com": "Compute Engine API",
    "iam.googleapis.com": "Identity and Access Management (IAM) API",
    "logging.googleapis.com": "Cloud Logging API",
    "monitoring.googleapis.com": "Cloud Monitoring API",
    "serviceusage.googleapis.com": "Service Usage API",
    "storage.googleapis.com": "Cloud Storage API",
}


def answer(request: Request, project: str, path: tuple[str, ...], verb: str, now: Circumstances) -> JsonObject:
    """Everything below /v1/projects/P/services. Raises RpcError."""
    match request.method, path, verb:
        case "GET", (), "batchGet":
            return {"services": [_named(project, name, now) for name in _names(request.values("names"))]}
        case "GET", (), "":
            return _listed(request, project, now)
        case "GET", (service,), "":
            return _service(project, service, now)
    raise unimplemented(f"services.{verb or request.method.lower()}")


def _names(names: Sequence[str]) -> Sequence[str]:
    if not 0 < len(names) <= MAX_NAMES:
        raise invalid_argument(f"A batch has 1 to {MAX_NAMES} names, not {len(names)}.", field="names")
    return names


def _named(project: str, name: str, now: Circumstances) -> JsonObject:
    kind, _, rest = name.partition("/")
    owner, _, service = rest.partition("/services/")
    if kind != "projects" or owner not in {project, project_number(project)}:
        raise invalid_argument(f"{name!r} is no service of projects/{project}.", field="names")
    return _service(project, service, now)


def _service(project: str, service: str, now: Circumstances) -> JsonObject:
    if service not in SERVICES:
        raise RpcError(Code.PERMISSION_DENIED, f"Not found or permission denied for service(s): {service}.")
    parent = f"projects/{project_number(project)}"
    return {
        "name": f"{parent}/services/{service}",
        "parent": parent,
        "config": {"name": service, "title": SERVICES[service]},
        "state": "DISABLED" if service in now.disabled_services else "ENABLED",
    }


def _listed(request: Request, project: str, now: Circumstances) -> JsonObject:
    wanted = request.query.get("filter", "")
    if wanted not in {"", "state:ENABLED", "state:DISABLED"}:
        raise invalid_argument(f"Invalid filter {wanted!r}: state:ENABLED or state:DISABLED.", field="filter")
    size, token = request.query.get("pageSize") or "50", request.query.get("pageToken") or "0"
    if not (size.isascii() and size.isdigit() and token.isascii() and token.isdigit()):
        raise invalid_argument("Invalid page size or token.", field="page_size")
    found = [_service(project, service, now) for service in SERVICES]
    found = [one for one in found if wanted.removeprefix("state:") in {"", one["state"]}]
    start, end = int(token), int(token) + min(int(size) or 50, MAX_PAGE)
    page: JsonObject = {"services": found[start:end]}
    return page | ({"nextPageToken": str(end)} if end < len(found) else {})
