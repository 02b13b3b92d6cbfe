"""/_emulator/…: what only this server has. Faults are set and requests are counted: neither outlives the server.
Outcomes of jobs are scripted: these do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from cxr.cloud.emulator.errors import Code, RpcError
from cxr.cloud.emulator.faults import FaultError, Faults
from cxr.cloud.emulator.http import Request, Response, json_response, parse_json
from cxr.cloud.emulator.jobs.outcome_rules import OutcomeError
from cxr.cloud.emulator.jobs.outcomes import clear_rules, document_of, replace_rules
from cxr.cloud.emulator.state.database import Database

PREFIX = "/_emulator/"
LOOPBACK = ("127.0.0.1", "localhost")


class RequestCounts:
    """Requests by operation, bytes with their heads, connections; requests to /_emulator do not count."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """All at zero."""
        self.operations: Counter[str] = Counter()
        self.bytes_received = self.bytes_sent = self.connections = 0

    def document(self) -> dict[str, Any]:
        """`{operation: requests, …, "bytes_received", "bytes_sent", "connections"}`."""
        totals = {"bytes_received": self.bytes_received, "bytes_sent": self.bytes_sent}
        return {**dict(sorted(self.operations.items())), **totals, "connections": self.connections}


def control(request: Request, faults: Faults, counts: RequestCounts) -> Response | None:
    """The answer to a request for faults or counts; None when it is for neither."""
    match request.segments[1:], request.method:
        case ("faults",), "GET":
            return json_response(faults.document())
        case ("faults",), "PUT":
            return _set_faults(request, faults)
        case ("faults",), "DELETE":
            faults.clear()
            return json_response(faults.document())
        case ("requests",), "GET":
            return json_response(counts.document())
        case ("requests",), "DELETE":
            counts.clear()
            return json_response(counts.document())
        case ("faults" | "requests",), _:
            return refusal(405, "Method Not Allowed")
    return None


def control_outcomes(request: Request, database: Database) -> Response:
    """The answer to a request for scripted outcomes; they are in the database, so this may wait for a transaction."""
    try:
        if request.method == "PUT":
            document = parse_json(request.body.read())
            with database.write() as connection:
                replace_rules(connection, document)
        elif request.method == "DELETE":
            with database.write() as connection:
                clear_rules(connection)
        elif request.method != "GET":
            return refusal(405, "Method Not Allowed")
    except OutcomeError as error:
        return refusal(400, str(error))
    except ValueError as error:
        return refusal(400, f"the document is not JSON: {error}")
    return json_response(document_of(database.read))


def refused_client(headers: Mapping[str, str]) -> Response | None:
    """The answer to a web page; None for a program.

    A custom job runs any command, and faults and objects are anybody's who can ask: no web page that a browser has
    open may, by its own name or by one that it lets point here. The SDKs send no Origin and use the address itself.
    """
    is_own = headers.get("sec-fetch-site", "none") in {"none", "same-origin"}  # what a browser says of an image, say
    if is_own and "origin" not in headers and headers.get("host", "").rpartition(":")[0] in LOOPBACK:
        return None
    error = RpcError(Code.PERMISSION_DENIED, "The emulator answers programs on this machine, not web pages.")
    return error.response()


def refusal(status: int, message: str) -> Response:
    """An error in words."""
    return json_response({"error": {"code": status, "message": message}}, status=status)


def _set_faults(request: Request, faults: Faults) -> Response:
    try:
        faults.replace(parse_json(request.body.read()))
    except FaultError as error:
        return refusal(400, str(error))
    except ValueError as error:
        return refusal(400, f"the document is not JSON: {error}")
    return json_response(faults.document())
