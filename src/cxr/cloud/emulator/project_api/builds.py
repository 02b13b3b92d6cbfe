"""Cloud Build v1: builds that are checked and timed, and make no image.

Source: https://cloud.google.com/build/docs/api/reference/rest/v1/projects.builds. A build is QUEUED, WORKING and then
what its source and steps deserve (`build_outcome`), by the time that has passed: there is nothing to be run.
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cxr.cloud.emulator.errors import failed_precondition, invalid_argument, not_found, unimplemented
from cxr.cloud.emulator.http import Request
from cxr.cloud.emulator.project_api.build_outcome import build_outcome, check_build
from cxr.cloud.emulator.project_api.circumstances import Circumstances
from cxr.cloud.emulator.state.database import Database
from cxr.cloud.emulator.storage_api.context import StorageContext
from cxr.cloud.emulator.vertex_api.messages import JsonObject, json_object, parse
from cxr.cloud.emulator.vertex_api.resource_store import change, find, insert, list_page

#: What share of a build's time it waits.
QUEUED_SHARE = 0.2
DEFAULT_TIMEOUT = "600s"
_TYPES = "type.googleapis.com/google.devtools.cloudbuild.v1"
_FILTER = re.compile(r'(tags|status)\s*=\s*"?([\w.-]+)"?')
_OUTPUT_ONLY = ("id", "name", "projectId", "status", "statusDetail", "results", "createTime", "startTime", "finishTime")


class Builds:
    """The builds of all projects."""

    def __init__(self, database: Database, storage: StorageContext) -> None:
        self._database, self._storage = database, storage

    def answer(self, request: Request, parent: str, path: tuple[str, ...], now: Circumstances) -> JsonObject:
        """Everything below PARENT/builds. Raises RpcError."""
        build_id, _, verb = path[0].partition(":") if path else ("", "", "")
        name = f"{parent}/builds/{build_id}"
        match request.method, len(path), verb:
            case "POST", 0, "":
                return self._create(request, parent, now)
            case "GET", 0, "":
                return self._list(request, parent)
            case "GET", 1, "":
                return self._get(name)
            case "POST", 1, "cancel":
                return self._cancel(name)
        raise unimplemented(f"builds.{verb or request.method.lower()}")

    def operation(self, path: tuple[str, ...]) -> JsonObject:
        """operations.get of a build's operation."""
        try:
            name = base64.urlsafe_b64decode(path[-1].encode()).decode()
        except (binascii.Error, UnicodeError):
            raise not_found(f"Operation {'/'.join(path)} was not found.") from None
        return _operation(self._get(name))

    def _create(self, request: Request, parent: str, now: Circumstances) -> JsonObject:
        from google.cloud.devtools.cloudbuild_v1 import types  # half a second, and few ask for builds

        body = parse(types.Build, json_object(request.body.read()))
        check_build(body)
        build_id, project = str(uuid.uuid4()), parent.split("/")[1]
        moment = datetime.now(UTC)
        build = {
            **{key: value for key, value in body.items() if key not in _OUTPUT_ONLY},
            "id": build_id,
            "name": f"{parent}/builds/{build_id}",
            "projectId": project,
            "createTime": _text(moment),
            "timeout": body.get("timeout", DEFAULT_TIMEOUT),
            "logUrl": f"{request.base_url}/v1/{parent}/builds/{build_id}",
        }
        outcome, provenance = build_outcome(self._storage, build)
        if provenance:
            build["sourceProvenance"] = provenance
        stored = {"build": build, "outcome": outcome, "seconds": now.build_seconds}
        with self._database.write() as connection:
            insert(connection, build["name"], f"{parent}/builds", stored)
        return _operation(_as_of(stored, moment))

    def _get(self, name: str) -> JsonObject:
        return _as_of(find(self._database.read, name), datetime.now(UTC))

    def _list(self, request: Request, parent: str) -> JsonObject:
        wanted = _filter(request.query.get("filter", ""))
        query = {name: request.query[name] for name in ("pageSize", "pageToken") if name in request.query}
        stored, token = list_page(self._database.read, f"{parent}/builds", query)
        moment = datetime.now(UTC)
        found = [build for build in (_as_of(one, moment) for one in stored) if _fits(build, wanted)]
        page: JsonObject = {"builds": found} if found else {}
        return page | ({"nextPageToken": token} if token else {})

    def _cancel(self, name: str) -> JsonObject:
        moment = datetime.now(UTC)
        with self._database.write() as connection:
            if "finishTime" in (build := _as_of(find(connection, name), moment)):
                raise failed_precondition(f"Build {build['id']} is {build['status']} and cannot be cancelled.")

            def end(stored: JsonObject) -> None:
                start = datetime.fromisoformat(stored["build"]["createTime"])
                stored["seconds"] = max(0.0, (moment - start).total_seconds())
                stored["outcome"] = {"status": "CANCELLED"}

            return _as_of(change(connection, name, end), moment)


def _as_of(stored: Mapping[str, Any], moment: datetime) -> JsonObject:
    """The build as it is seen at a moment."""
    build, seconds = dict(stored["build"]), float(stored["seconds"])
    created = datetime.fromisoformat(build["createTime"])
    started, ended = created + timedelta(seconds=seconds * QUEUED_SHARE), created + timedelta(seconds=seconds)
    if moment < started:
        return build | {"status": "QUEUED"}
    build["startTime"] = _text(started)
    if moment < ended:
        return build | {"status": "WORKING"}
    return build | {"finishTime": _text(ended), **stored["outcome"]}


def _operation(build: JsonObject) -> JsonObject:
    name = base64.urlsafe_b64encode(build["name"].encode()).decode()
    operation: JsonObject = {
        "name": f"operations/build/{build['projectId']}/{name}",
        "metadata": {"@type": f"{_TYPES}.BuildOperationMetadata", "build": build},
    }
    if "finishTime" not in build:
        return operation
    if build["status"] == "SUCCESS":
        return operation | {"done": True, "response": {"@type": f"{_TYPES}.Build", **build}}
    code = 1 if build["status"] == "CANCELLED" else 2
    return operation | {"done": True, "error": {"code": code, "message": build.get("statusDetail", build["status"])}}


def _filter(text: str) -> list[tuple[str, str]]:
    parts = [part for part in re.split(r"\s+AND\s+", text.strip()) if part]
    found = [_FILTER.fullmatch(part) for part in parts]
    if not all(found):
        raise invalid_argument(f'Invalid filter {text!r}: tags="T" and status="S", joined by AND.', field="filter")
    return [(match[1], match[2]) for match in found if match]


def _fits(build: JsonObject, wanted: list[tuple[str, str]]) -> bool:
    return all(value in build.get("tags", []) if key == "tags" else value == build["status"] for key, value in wanted)


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
