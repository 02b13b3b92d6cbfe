"""SageMaker's answers and errors as they are on the wire (protocol json 1.1)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

JsonObject = dict[str, Any]
StartResponse = Callable[..., Any]
CONTENT_TYPE = "application/x-amz-json-1.1"


class ServiceError(Exception):
    """A call is refused, as the service would. `code` is the error's name in the API reference."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: its status line, headers and bytes."""

    status: str
    headers: Sequence[tuple[str, str]]
    content: bytes = field(repr=False)

    @property
    def is_good(self) -> bool:
        """Whether the call was done."""
        return self.status.startswith("200")

    def document(self) -> JsonObject:
        """The JSON object in it."""
        value: JsonObject = json.loads(self.content or b"{}")
        return value

    def send(self, start_response: StartResponse) -> Iterable[bytes]:
        """Send it, as a WSGI application does."""
        start_response(self.status, list(self.headers))
        return [self.content]


def json_answer(document: Mapping[str, Any], status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> Answer:
    """A JSON object as a response; times become seconds since 1970, as the protocol has them."""
    content = json.dumps(document, default=_wire).encode()
    fixed = [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(content)))]
    return Answer(f"{status} {HTTPStatus(status).phrase}", [*fixed, *headers], content)


def error_answer(error: ServiceError) -> Answer:
    """An error as a response."""
    document = {"__type": error.code, "message": str(error)}
    return json_answer(document, error.status, [("x-amzn-errortype", error.code)])


def validation_error(message: str) -> ServiceError:
    """A request that cannot be."""
    return ServiceError("ValidationException", message)


def unknown_resource() -> ServiceError:
    """What the service says of a training or transform job that does not exist."""
    return validation_error("Requested resource not found.")


def _wire(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    raise TypeError(f"not JSON: {type(value).__name__}")
