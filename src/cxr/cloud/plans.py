"""The Plan noun for launches: what will be made, where, and what it costs at most; shown before it happens."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cxr.cloud.connection import Connection
from cxr.cloud.prices import Price


class JobKind(StrEnum):
    """What runs elsewhere and is followed through the journal: trainings, a batch prediction, a dataset's import."""

    AUTOML = "automl"
    CUSTOM = "custom"
    TUNE = "tune"
    BATCH = "batch"
    IMPORT = "import"


@dataclass(frozen=True, slots=True)
class Cost:
    """USD at most (the budget or the timeout, times the price) and the price behind it."""

    worst_usd: float
    hours: float
    price: Price

    def sentence(self, *, billed: bool) -> str:
        """The cost in words; `billed` is False where nothing is (the emulator)."""
        source = f"{self.price.usd_per_hour:g} USD an hour, read {self.price.read_on}"
        if billed:
            return f"at most {self.worst_usd:,.2f} USD ({self.hours:g} h at {source})"
        return f"nothing here; on Google at most {self.worst_usd:,.2f} USD ({self.hours:g} h at {source})"


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """One job to launch. `request` is all that decides what the service does; the id is made of its fingerprint, so
    that the same plan launched twice finds the first job."""

    kind: JobKind
    connection: Connection
    manifest_hash: str
    request: Mapping[str, Any]
    cost: Cost
    leaves_behind: tuple[str, ...]
    attempt: int = 1
    notes: tuple[str, ...] = field(default=())

    @property
    def fingerprint(self) -> str:
        """sha256 (hex) of everything that decides what is launched, and where."""
        said = {
            "kind": self.kind,
            "where": self.connection.identity(),
            "manifest": self.manifest_hash,
            "request": self.request,
            "attempt": self.attempt,
        }
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    @property
    def job_id(self) -> str:
        """A short name that is also a legal resource label."""
        return f"{self.kind}-{self.fingerprint[:10]}"

    @property
    def labels(self) -> dict[str, str]:
        """Labels for every resource that the launch makes (at most 63 characters each)."""
        return {"cxr-run": self.job_id, "cxr-manifest": manifest_label(self.manifest_hash)}

    def rows(self) -> list[tuple[str, str]]:
        """What a user reads before saying yes."""
        where = self.connection
        said = [
            ("job", self.job_id),
            ("on", where.place),
            ("project", where.project),
            ("region", where.region),
            ("manifest", self.manifest_hash[:16]),
        ]
        said += [(key.replace("_", " "), _short(value)) for key, value in self.request.items()]
        said.append(("cost", self.cost.sentence(billed=where.billed)))
        said += [("leaves behind", item) for item in self.leaves_behind]
        return said

    def as_json(self) -> dict[str, Any]:
        """The plan for --json."""
        return {
            "job": self.job_id,
            "kind": self.kind,
            "where": self.connection.identity(),
            "manifest_hash": self.manifest_hash,
            "request": dict(self.request),
            "worst_case_usd": round(self.cost.worst_usd, 2),
            "billed": self.connection.billed,
            "leaves_behind": list(self.leaves_behind),
        }


def manifest_label(manifest_hash: str) -> str:
    """A manifest's hash as a legal label value."""
    return manifest_hash[:32]


def _short(value: object) -> str:
    return " ".join(str(item) for item in value) if isinstance(value, list | tuple) else str(value)
