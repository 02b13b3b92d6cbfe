"""All services of one emulator behind one handler: storage, Vertex AI, logging, the project's APIs, its own status."""

from __future__ import annotations

import logging
import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from cxr.cloud.emulator.control import control_outcomes
from cxr.cloud.emulator.errors import unimplemented
from cxr.cloud.emulator.http import Request, Response, json_response
from cxr.cloud.emulator.project_api.circumstances import ProjectState
from cxr.cloud.emulator.project_api.control import PATH as PROJECT_CONTROL
from cxr.cloud.emulator.project_api.control import control_project
from cxr.cloud.emulator.project_api.denials import refuse
from cxr.cloud.emulator.project_api.paths import is_project
from cxr.cloud.emulator.settings import EmulatorSettings
from cxr.cloud.emulator.state.blobs import BlobStore
from cxr.cloud.emulator.state.database import Database
from cxr.cloud.emulator.storage_api.context import StorageContext
from cxr.cloud.emulator.storage_api.ghosts import PATH as GHOSTS
from cxr.cloud.emulator.storage_api.ghosts import make_ghosts
from cxr.cloud.emulator.storage_api.internal import store_anew
from cxr.cloud.emulator.storage_api.public import is_address, serve_object
from cxr.cloud.emulator.storage_api.resumable import forget_finished_uploads
from cxr.cloud.emulator.storage_api.routes import handle_storage, is_quick_storage, is_storage, named_object
from cxr.version import __version__

if TYPE_CHECKING:
    from cxr.cloud.emulator.project_api.service import ProjectService
    from cxr.cloud.emulator.vertex_api.service import VertexService

log = logging.getLogger(__name__)


class Services:
    """The state of one emulator and what answers from it. Vertex is loaded beside the start: storage need not wait."""

    def __init__(self, settings: EmulatorSettings) -> None:
        self.settings = settings
        for folder in (settings.blobs_dir, settings.uploads_dir, settings.jobs_dir, settings.models_dir):
            folder.mkdir(parents=True, exist_ok=True)
        self.database = Database(settings.database_path)
        self.storage = StorageContext(self.database, BlobStore(settings.blobs_dir), settings.uploads_dir)
        self._tidy()
        self._state = ProjectState(self.database)
        self._url = ""
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="vertex-loader")
        self._vertex: Future[VertexService] | None = None
        self._project: Future[ProjectService] | None = None

    def start(self, url: str) -> None:
        """Load what is heavy and take the jobs up again; `url` is what jobs reach this server by."""
        self._url = url
        self._vertex = self._loader.submit(self._load_vertex)
        self._project = self._loader.submit(self._load_project)

    def handle(self, request: Request) -> Response:
        """Answer one request. Raises ApiError."""
        segments = request.segments
        if self._state.now.guards:
            refuse(request, self._state.now)
        if is_storage(segments):
            return handle_storage(self.storage, request)
        if segments in {("",), ("_emulator", "status")}:
            return json_response(self.status())
        if segments == PROJECT_CONTROL:
            return control_project(request, self._state)
        if is_project(segments):
            assert self._project is not None
            return self._project.result().handle(request)
        if segments == GHOSTS:
            return make_ghosts(self.storage, request)
        if segments == ("_emulator", "outcomes"):
            return control_outcomes(request, self.database)
        if segments[0] in {"v1", "v2", "ui"}:
            return self._vertex_service().handle(request)
        if is_address(self.storage, request):
            return serve_object(self.storage, request)
        raise unimplemented(f"{request.method} {request.raw_path}")

    def is_quick(self, request: Request) -> bool:
        """Whether the answer takes less than handing the request over to a thread."""
        segments = request.segments
        if is_storage(segments):
            return is_quick_storage(request) and not self.database.is_writing
        return segments in {("",), ("_emulator", "status")}

    def object_of(self, request: Request, beginning: bytes) -> str | None:
        """`BUCKET/NAME` of the object that a storage request is about, from its path or what is known of its body."""
        return named_object(self.storage, request, beginning) if is_storage(request.segments) else None

    def status(self) -> dict[str, Any]:
        """What `cxr emulator status` shows."""
        phases = self.database.read.execute("SELECT phase, COUNT(*) AS jobs FROM jobs GROUP BY phase").fetchall()
        counts = {row["phase"]: row["jobs"] for row in phases}
        return {
            "service": "cxr-emulator",
            "version": __version__,
            "pid": os.getpid(),
            "url": self._url,
            "state": str(self.settings.state_dir.resolve()),
            "jobs": {"waiting": counts.get("waiting", 0), "running": counts.get("running", 0)},
        }

    def busy(self) -> bool:
        """Whether a job or an operation is at work or waiting."""
        jobs = self.database.read.execute("SELECT 1 FROM jobs WHERE phase<>'done' LIMIT 1").fetchone()
        operations = self.database.read.execute("SELECT 1 FROM operations WHERE done=0 LIMIT 1").fetchone()
        return jobs is not None or operations is not None

    def stop(self) -> None:
        """End running jobs (they start again with the next server) and close the state."""
        self._loader.shutdown()
        if self._vertex is not None and self._vertex.exception() is None:
            self._vertex.result().stop()
        self.database.close()

    def _vertex_service(self) -> VertexService:
        assert self._vertex is not None
        return self._vertex.result()

    def _load_project(self) -> ProjectService:
        from cxr.cloud.emulator.project_api.service import ProjectService

        return ProjectService(self._state, self.database, self.storage)

    def _load_vertex(self) -> VertexService:
        # Google's message types take most of a second to load.
        from cxr.cloud.emulator.vertex_api.service import VertexService

        try:
            return VertexService(self.settings, self.database, self.storage, self._url)
        except Exception:
            log.exception("Vertex AI could not be started")
            raise

    def _tidy(self) -> None:
        known = self.database.read.execute("SELECT blob FROM objects")
        removed = self.storage.blobs.remove_orphans(row["blob"] for row in known)
        with self.database.write() as connection:
            forget_finished_uploads(connection)
        unfinished = self.database.read.execute("SELECT id FROM uploads WHERE generation IS NULL")
        wanted = {row["id"] for row in unfinished}
        for path in self.settings.uploads_dir.iterdir():
            if path.name not in wanted:
                path.unlink(missing_ok=True)
        if removed:
            log.info("removed %d files that an interrupted write had left", removed)
        for prefix in self.storage.blobs.sparse_prefixes():
            log.info("stored %d objects anew, out of a file that was mostly empty", store_anew(self.storage, prefix))
