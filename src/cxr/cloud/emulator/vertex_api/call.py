"""One call of a Vertex method, its path taken apart, and what every method works on."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from cxr.cloud.emulator.errors import invalid_argument
from cxr.cloud.emulator.jobs.scorers import ScorerPool
from cxr.cloud.emulator.settings import EmulatorSettings
from cxr.cloud.emulator.state.database import Database
from cxr.cloud.emulator.storage_api.context import StorageContext
from cxr.cloud.emulator.vertex_api.messages import JsonObject

_LABEL_KEY = re.compile(r"[^\W\dA-Z][\w-]{0,63}")
_LABEL_VALUE = re.compile(r"[\w-]{0,64}")
MAX_LABELS = 64
MAX_DISPLAY_NAME = 128


@dataclass(frozen=True, slots=True)
class VertexContext:
    """State, settings, the wake-up calls of the threads that work in the background, and the programs that predict."""

    settings: EmulatorSettings
    database: Database
    storage: StorageContext
    wake_operations: Callable[[], None]
    wake_jobs: Callable[[], None]
    stopping: threading.Event
    scorers: ScorerPool

    @property
    def read(self) -> sqlite3.Connection:
        """This thread's connection for reading."""
        return self.database.read

    def write(self) -> AbstractContextManager[sqlite3.Connection]:
        """One transaction."""
        return self.database.write()


@dataclass(frozen=True, slots=True)
class Call:
    """`projects/P/locations/L` + `path` (collection and id in turn) + `verb`, with query and body."""

    method: str
    project: str
    location: str
    path: tuple[str, ...]
    verb: str
    query: Mapping[str, str]
    body: JsonObject

    @property
    def parent(self) -> str:
        """`projects/P/locations/L`."""
        return f"projects/{self.project}/locations/{self.location}"

    @property
    def name(self) -> str:
        """The full name of the resource or collection that is called."""
        return "/".join((self.parent, *self.path))

    @property
    def rest_method(self) -> str:
        """The method's name in the REST reference: `projects.locations.endpoints.create`."""
        collections = self.path[::2]
        on_item = len(self.path) % 2 == 0
        plain = {"GET": "get" if on_item else "list", "POST": "create", "DELETE": "delete", "PATCH": "patch"}
        return ".".join(("projects.locations", *collections, self.verb or plain.get(self.method, self.method.lower())))


def check_display_name(body: Mapping[str, Any]) -> None:
    """Raise 400 unless the display name has 1-128 characters."""
    name = body.get("displayName", "")
    if not name:
        raise invalid_argument("Required field is not set: display_name.", field="display_name")
    if len(name) > MAX_DISPLAY_NAME:
        raise invalid_argument(
            f"display_name has {len(name)} characters; at most {MAX_DISPLAY_NAME} are allowed.", field="display_name"
        )


def check_labels(labels: Mapping[str, str], *, field: str = "labels") -> None:
    """Raise 400 for labels that the service refuses (lowercase letters, digits, _ and -; at most 64 of them).

    Source: https://cloud.google.com/resource-manager/docs/labels-overview#requirements.
    """
    if len(labels) > MAX_LABELS:
        raise invalid_argument(f"At most {MAX_LABELS} labels are allowed.", field=field)
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key) or key != key.lower():
            raise invalid_argument(
                f"Label key {key!r} is invalid: lowercase letters, digits, underscores and dashes, a letter first.",
                field=field,
            )
        if not _LABEL_VALUE.fullmatch(value) or value != value.lower():
            raise invalid_argument(
                f"Label value {value!r} is invalid: lowercase letters, digits, underscores and dashes.", field=field
            )


def require(body: Mapping[str, Any], field: str, label: str) -> Any:
    """A required field's value. Raises 400."""
    value = body.get(field)
    if value in (None, "", [], {}):
        raise invalid_argument(f"Required field is not set: {label}.", field=label)
    return value
