"""/_emulator/project: what is the matter with the projects, shown and changed."""

from __future__ import annotations

from cxr.cloud.emulator.control import refusal
from cxr.cloud.emulator.http import Request, Response, json_response, parse_json
from cxr.cloud.emulator.project_api.circumstances import CircumstancesError, ProjectState

PATH = ("_emulator", "project")


def control_project(request: Request, state: ProjectState) -> Response:
    """GET the document, PUT another in its place, DELETE it. 400 for a document that cannot be used."""
    try:
        match request.method:
            case "GET":
                pass
            case "PUT":
                state.replace(parse_json(request.body.read()))
            case "DELETE":
                state.replace(None)
            case _:
                return refusal(405, "Method Not Allowed")
    except CircumstancesError as error:
        return refusal(400, str(error))
    except ValueError as error:
        return refusal(400, f"the document is not JSON: {error}")
    return json_response(state.now.document())
