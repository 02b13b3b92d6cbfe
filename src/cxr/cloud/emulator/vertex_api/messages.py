"""The SDK's own message types, without the SDK: requests are parsed strictly through them, answers printed by them.

`google.cloud.aiplatform_v1` imports every service client (4 s); its `types` package alone takes 0.3 s. So the types are
imported beneath a package that has a path and nothing else.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from google.longrunning import operations_pb2
from google.protobuf import any_pb2, empty_pb2, json_format, message

from cxr.cloud.emulator.errors import invalid_argument
from cxr.cloud.emulator.http import parse_json

_PACKAGE = "google.cloud.aiplatform_v1"


@contextmanager
def _package_without_clients() -> Iterator[None]:
    if _PACKAGE in sys.modules:
        yield
        return
    parent = importlib.import_module("google.cloud")
    package = ModuleType(_PACKAGE)
    package.__path__ = [str(Path(folder) / "aiplatform_v1") for folder in parent.__path__]
    sys.modules[_PACKAGE] = package
    try:
        yield
    finally:
        # Whoever imports the real package afterwards in this process gets the real one.
        del sys.modules[_PACKAGE]


with _package_without_clients():
    types: Any = importlib.import_module(f"{_PACKAGE}.types")

JsonObject = dict[str, Any]
#: What protocol buffers raise for JSON that is no message: beside their own errors, whatever their code runs into.
_UNREADABLE = (json_format.Error, ValueError, TypeError, AttributeError, OverflowError, RecursionError)


def parse(kind: Any, body: JsonObject) -> JsonObject:
    """A JSON object as the message type reads it: canonical names, enums as names. Raises 400 INVALID_ARGUMENT for an
    unknown field or a value of the wrong type."""
    target = kind.pb(kind())
    try:
        json_format.ParseDict(body, target)
        return to_json(target)
    except _UNREADABLE as error:
        raise invalid_argument(f"Invalid JSON payload received. {error}") from None


def to_json(value: message.Message, *, integer_enums: bool = False) -> JsonObject:
    """A message in the JSON mapping of protocol buffers (lowerCamelCase)."""
    result: JsonObject = json_format.MessageToDict(value, use_integers_for_enums=integer_enums)
    return result


def with_integer_enums(kind: Any, body: JsonObject) -> JsonObject:
    """The same resource with enums as numbers, as clients ask for by `$alt=json;enum-encoding=int`."""
    target = kind.pb(kind())
    json_format.ParseDict(body, target)
    return to_json(target, integer_enums=True)


def packed(kind: Any, body: JsonObject) -> JsonObject:
    """A google.protobuf.Any in JSON that holds a message of this type."""
    target = kind.pb(kind())
    json_format.ParseDict(body, target)
    container = any_pb2.Any()
    container.Pack(target)
    return to_json(container)


def packed_empty() -> JsonObject:
    """A google.protobuf.Any in JSON that holds nothing: what a finished deletion answers."""
    container = any_pb2.Any()
    container.Pack(empty_pb2.Empty())
    return to_json(container)


def checked_operation(body: JsonObject) -> JsonObject:
    """An operation's JSON, once through its type: a mistake shows here and not in the client."""
    return to_json(json_format.ParseDict(body, operations_pb2.Operation()))


def json_object(body: bytes) -> JsonObject:
    """The request's JSON object. Raises 400."""
    try:
        value = parse_json(body or b"{}")
    except ValueError as error:
        raise invalid_argument(f"Invalid JSON payload received. {error}") from None
    if not isinstance(value, dict):
        raise invalid_argument("Invalid JSON payload received. The body is not an object.")
    return value


def now() -> str:
    """The present in the JSON of google.protobuf.Timestamp."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
