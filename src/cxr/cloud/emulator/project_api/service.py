"""Which of the small APIs answers which path."""

from __future__ import annotations

from cxr.cloud.emulator.errors import unimplemented
from cxr.cloud.emulator.http import Request, Response, json_response
from cxr.cloud.emulator.project_api import builds, quotas, resource_manager, service_usage, tokens
from cxr.cloud.emulator.project_api.circumstances import ProjectState
from cxr.cloud.emulator.state.database import Database
from cxr.cloud.emulator.storage_api.context import StorageContext


class ProjectService:
    """Resource Manager, Service Usage, Cloud Quotas, Cloud Build and the token endpoint of one emulator."""

    def __init__(self, state: ProjectState, database: Database, storage: StorageContext) -> None:
        self._state = state
        self._builds = builds.Builds(database, storage)

    def handle(self, request: Request) -> Response:
        """Answer one request. Raises RpcError."""
        now = self._state.now
        match request.segments:
            case ("token",) if request.method == "POST":
                return tokens.grant_token(request, now)
            case ("v3", "projects", *path):
                return json_response(resource_manager.answer(request, tuple(path), now))
            case ("v1", "projects", project, "services", *path):
                return json_response(service_usage.answer(request, project, tuple(path), "", now))
            case ("v1", "projects", project, "services:batchGet"):
                return json_response(service_usage.answer(request, project, (), "batchGet", now))
            case ("v1", "projects", project, "locations", location, "services", service, "quotaInfos", *path):
                return json_response(quotas.answer(request, project, location, service, tuple(path), now))
            case ("v1", "projects", project, "builds", *path):
                parent = f"projects/{project}/locations/global"
                return json_response(self._builds.answer(request, parent, tuple(path), now))
            case ("v1", "projects", project, "locations", location, "builds", *path):
                parent = f"projects/{project}/locations/{location}"
                return json_response(self._builds.answer(request, parent, tuple(path), now))
            case ("v1", "operations", "build", *path) if request.method == "GET" and path:
                return json_response(self._builds.operation(tuple(path)))
        raise unimplemented(f"{request.method} {request.raw_path}")
