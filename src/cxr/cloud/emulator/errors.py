"""Errors that are answers: each service's own JSON shape.

Cloud Storage: https://cloud.google.com/storage/docs/json_api/v1/status-codes and, for objects' own
addresses, https://cloud.google.com/storage/docs/xml-api/reference-status. Vertex AI and Cloud Logging: the google.rpc
error model (https://cloud.google.com/apis/design/errors).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from cxr.cloud.emulator.http import Response, json_response
from cxr.files import is_full


class ApiError(Exception):
    """An error that becomes a response."""

    def response(self) -> Response:
        """The HTTP answer in the service's shape."""
        raise NotImplementedError


class StorageError(ApiError):
    """An error of the Cloud Storage JSON API."""

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        location: tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.location = location
        self.headers = headers

    def response(self) -> Response:
        """`{"error": {"code", "message", "errors": [{"message", "domain", "reason"}]}}`."""
        if self.status == 304:
            return Response(304, b"", content_type=None)
        item: dict[str, Any] = {"message": self.message, "domain": "global", "reason": self.reason}
        if self.location:
            item["locationType"], item["location"] = self.location
        return json_response(
            {"error": {"code": self.status, "message": self.message, "errors": [item]}},
            status=self.status,
            headers=self.headers,
        )


class XmlError(ApiError):
    """An error of an object's own address, which is the Cloud Storage XML API."""

    def __init__(self, status: int, code: str, message: str, details: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details

    def response(self) -> Response:
        """`<Error><Code>…</Code><Message>…</Message></Error>`."""
        details = f"<Details>{escape(self.details)}</Details>" if self.details else ""
        said = f"<Error><Code>{self.code}</Code><Message>{escape(self.message)}</Message>{details}</Error>"
        body = f"<?xml version='1.0' encoding='UTF-8'?>{said}".encode()
        headers = {"Cache-Control": "private, max-age=0"}
        return Response(self.status, body, headers, "application/xml; charset=UTF-8")


def invalid(message: str) -> StorageError:
    """400 for a value that the service refuses."""
    return StorageError(400, "invalid", message)


def no_such_bucket() -> StorageError:
    """404 for a bucket."""
    return StorageError(404, "notFound", "The specified bucket does not exist.")


def no_such_object(bucket: str, name: str) -> StorageError:
    """404 for an object."""
    return StorageError(404, "notFound", f"No such object: {bucket}/{name}")


def storage_unimplemented(what: str) -> StorageError:
    """501 for what this emulator does not do."""
    return StorageError(501, "notImplemented", f"The emulator does not implement {what}.")


def failure(status: int, operation: str, message: str) -> Response:
    """An error in the shape of the service that the operation belongs to."""
    if operation.startswith("storage."):
        return StorageError(status, _REASONS.get(status, "backendError"), message).response()
    error = {"code": status, "message": message, "status": _RPC_STATUS.get(status, "UNKNOWN")}
    return json_response({"error": error}, status=status)


def failed(error: Exception, operation: str, state_dir: Path) -> Response:
    """The answer when the emulator itself could not: 507, which nobody asks again, when its disk is full."""
    if is_disk_full(error):
        return failure(507, operation, f"The disk of the emulator's folder {state_dir} is full.")
    return failure(500, operation, "The emulator failed; see its server.log.")


def internal(error: Exception) -> RpcError:
    """Why a job or an operation failed when the emulator itself could not."""
    if is_disk_full(error):
        return RpcError(Code.INTERNAL, "The disk of the emulator's folder is full: No space left on device.")
    return RpcError(Code.INTERNAL, "The emulator failed; see its server.log.")


def is_disk_full(error: Exception) -> bool:
    """Whether files or the database cannot grow any more."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return is_full(error)


def fault_response(status: int, retry_after: int | None, operation: str) -> Response:
    """An error that was asked for, in the shape of the service that the operation belongs to."""
    message = "This fault was asked for (/_emulator/faults or x-goog-emulator-instructions)."
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Response(status, failure(status, operation, message).body, headers)


_REASONS = {401: "required", 403: "forbidden", 404: "notFound", 408: "uploadBrokenConnection", 412: "conditionNotMet"}
_REASONS |= {429: "rateLimitExceeded"}
_RPC_STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
_RPC_STATUS |= {
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class Code(Enum):
    """google.rpc.Code: (number, HTTP status)."""

    CANCELLED = (1, 499)
    UNKNOWN = (2, 500)
    INVALID_ARGUMENT = (3, 400)
    DEADLINE_EXCEEDED = (4, 504)
    NOT_FOUND = (5, 404)
    ALREADY_EXISTS = (6, 409)
    PERMISSION_DENIED = (7, 403)
    RESOURCE_EXHAUSTED = (8, 429)
    FAILED_PRECONDITION = (9, 400)
    ABORTED = (10, 409)
    UNIMPLEMENTED = (12, 501)
    INTERNAL = (13, 500)
    UNAVAILABLE = (14, 503)

    @property
    def number(self) -> int:
        """The code in a google.rpc.Status."""
        return self.value[0]

    @property
    def http_status(self) -> int:
        """The status of the HTTP answer."""
        return self.value[1]


class RpcError(ApiError):
    """An error of a google.rpc service (Vertex AI, Cloud Logging)."""

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        field: str | None = None,
        details: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.details = details

    def response(self) -> Response:
        """`{"error": {"code", "message", "status", "details"?}}`."""
        error: dict[str, Any] = {
            "code": self.code.http_status,
            "message": self.message,
            "status": self.code.name,
        }
        if self.field:
            error["details"] = [
                {
                    "@type": "type.googleapis.com/google.rpc.BadRequest",
                    "fieldViolations": [{"field": self.field, "description": self.message}],
                }
            ]
        if self.details:
            error["details"] = [*error.get("details", []), *self.details]
        return json_response({"error": error}, status=self.code.http_status)

    def status(self) -> dict[str, Any]:
        """The google.rpc.Status in JSON, as it stands in operations and failed jobs."""
        return {"code": self.code.number, "message": self.message}


def invalid_argument(message: str, *, field: str | None = None) -> RpcError:
    """400 INVALID_ARGUMENT."""
    return RpcError(Code.INVALID_ARGUMENT, message, field=field)


def not_found(message: str) -> RpcError:
    """404 NOT_FOUND."""
    return RpcError(Code.NOT_FOUND, message)


def failed_precondition(message: str) -> RpcError:
    """400 FAILED_PRECONDITION: the resource is in a state that does not permit it."""
    return RpcError(Code.FAILED_PRECONDITION, message)


def unimplemented(what: str) -> RpcError:
    """501 UNIMPLEMENTED, naming the method."""
    return RpcError(Code.UNIMPLEMENTED, f"The emulator does not implement {what}.")
