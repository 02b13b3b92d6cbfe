"""What is the matter with the projects of this emulator: nothing, unless a document says so (/_emulator/project)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from cxr.cloud.emulator.state.database import Database, find_document, put_document

DOCUMENT = "project"
#: Service agents that have their role in the project, as they have after the first use of Vertex AI.
AGENTS = ("gcp-sa-aiplatform", "gcp-sa-aiplatform-cc")
STATES = ("ACTIVE", "DELETE_REQUESTED")


class CircumstancesError(ValueError):
    """The document cannot be used."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Everything is there and allowed, but for what these name.

    `missing_projects`: ids that do not exist. `disabled_services`: as `aiplatform.googleapis.com`.
    `denied_permissions`: as `storage.buckets.getIamPolicy`. `quotas`: quota id -> region -> limit. `agents`: those
    with a role in the project. `refused_accounts`: who gets no token (an e-mail, a client id, `*` for all).
    `refused_tokens`: bearer tokens that are answered with 401. `signed_out`: every request is. `build_seconds`: how
    long a build seems to take.
    """

    state: str = "ACTIVE"
    missing_projects: tuple[str, ...] = ()
    disabled_services: tuple[str, ...] = ()
    denied_permissions: tuple[str, ...] = ()
    quotas: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    agents: tuple[str, ...] = AGENTS
    refused_accounts: tuple[str, ...] = ()
    refused_tokens: tuple[str, ...] = ()
    signed_out: bool = False
    build_seconds: float = 0.5

    @property
    def guards(self) -> bool:
        """Whether a request may be refused for its own sake."""
        refusing = (self.missing_projects, self.disabled_services, self.denied_permissions, self.refused_tokens)
        return self.signed_out or any(refusing)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


class ProjectState:
    """The circumstances in force: in the database, so that they outlive the server, and at hand for each request."""

    def __init__(self, database: Database) -> None:
        self._database = database
        stored = find_document(database.read, DOCUMENT)
        self.now = circumstances_of(stored) if stored is not None else Circumstances()

    def replace(self, document: Any) -> None:
        """Put a document in force in place of the one before; None: nothing is the matter. Raises
        CircumstancesError."""
        now = Circumstances() if document is None else circumstances_of(document)
        with self._database.write() as connection:
            put_document(connection, DOCUMENT, None if document is None else now.document())
        self.now = now


def circumstances_of(document: Any) -> Circumstances:
    """A document, checked. Raises CircumstancesError naming the field."""
    if not isinstance(document, dict):
        raise CircumstancesError("the document is not an object")
    known = {one.name for one in fields(Circumstances)}
    if unknown := sorted(set(document) - known):
        raise CircumstancesError(f"unknown field {unknown[0]!r}; known: {', '.join(sorted(known))}")
    values: dict[str, Any] = {}
    for name, value in document.items():
        if name == "quotas":
            values[name] = _quotas(value)
        elif name == "signed_out":
            values[name] = _typed(name, value, bool)
        elif name == "build_seconds":
            values[name] = _seconds(value)
        elif name == "state":
            values[name] = _typed(name, value, str)
        else:
            values[name] = tuple(_typed(name, item, str) for item in _typed(name, value, list))
    found = Circumstances(**values)
    if found.state not in STATES:
        raise CircumstancesError(f"state must be one of {', '.join(STATES)}")
    if strange := sorted(set(found.agents) - set(AGENTS)):
        raise CircumstancesError(f"there is no service agent {strange[0]!r}; there are {', '.join(AGENTS)}")
    return found


def _quotas(value: Any) -> dict[str, dict[str, int]]:
    quotas: dict[str, dict[str, int]] = {}
    for quota, regions in _typed("quotas", value, dict).items():
        quotas[quota] = {}
        for region, limit in _typed(f"quotas.{quota}", regions, dict).items():
            if isinstance(limit, bool) or not isinstance(limit, int) or limit < -1:
                raise CircumstancesError(f"quotas.{quota}.{region} must be a number; -1 is no limit")
            quotas[quota][region] = limit
    return quotas


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 86_400:
        raise CircumstancesError("build_seconds must be a number from 0 to 86400")
    return float(value)


def _typed(name: str, value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise CircumstancesError(f"{name} holds {value!r}, which is no {kind.__name__}")
    return value
