"""The Plan noun for launches: what will be made, where, and what it costs at most; shown before it happens."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cxr.cloud.connection import Connection
from cxr.cloud.prices.table import HourlyPrice, Price

#: The label that says for which bucket and prefix something was made.
PLACE_LABEL = "cxr-place"


class JobKind(StrEnum):
    """What runs elsewhere and is followed through the journal: trainings, a batch prediction, a dataset's import."""

    AUTOML = "automl"
    CUSTOM = "custom"
    TUNE = "tune"
    BATCH = "batch"
    IMPORT = "import"


@dataclass(frozen=True, slots=True)
class Cost:
    """USD at most (`worst_hours` at the list price) and as is to be expected (`expected_hours` at the expected price),
    the price behind them, and what the expectation rests on. Hours count node hours or the hours of all replicas
    together."""

    worst_usd: float
    expected_usd: float
    worst_hours: float
    expected_hours: float
    price: Price
    basis: str = ""

    def sentence(self, *, billed: bool, cloud: str = "Google") -> str:
        """The worst case in words; `billed` is False where nothing is (the server that stands for `cloud`)."""
        region = f" in {self.price.region}" if self.price.region else ""
        source = f"{self.price.usd_per_hour:.4g} USD an hour{region}, read {self.price.read_on}"
        where = "" if billed else f"nothing here; on {cloud} "
        return f"{where}at most {self.worst_usd:,.2f} USD ({round(self.worst_hours, 3):g} h at {source})"

    def expectation(self) -> str:
        """The expected cost in words."""
        basis = f": {self.basis}" if self.basis else ""
        return f"{self.expected_usd:,.2f} USD ({self.expected_hours:.2g} h{basis})"

    def as_json(self) -> dict[str, Any]:
        """For a plan's document."""
        return {
            "worst_usd": round(self.worst_usd, 4),
            "expected_usd": round(self.expected_usd, 4),
            "worst_hours": self.worst_hours,
            "expected_hours": round(self.expected_hours, 4),
            "usd_per_hour": round(self.price.usd_per_hour, 6),
            "read_on": self.price.read_on,
            "source": self.price.source,
            "region_of_price": self.price.region,
            "basis": self.basis,
        }


def cost_of(price: HourlyPrice, *, worst_hours: float, expected_hours: float, basis: str = "") -> Cost:
    """What a job costs that runs at most `worst_hours` and is expected to end after `expected_hours`."""
    expected = min(expected_hours, worst_hours)
    words = "; ".join(part for part in (basis, price.expectation) if part)
    return Cost(
        worst_usd=worst_hours * price.at_most.usd_per_hour,
        expected_usd=expected * price.expected_usd_per_hour,
        worst_hours=worst_hours,
        expected_hours=expected,
        price=price.at_most,
        basis=words,
    )


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """One job to launch. `request` is all that decides what the service does; the id is made of its fingerprint, so
    that the same plan launched twice finds the first job. `shown` are the rows that tell the request to a reader,
    `makes` and `leaves_behind` name resources, with {job} for the job's id."""

    kind: JobKind
    connection: Connection
    manifest_hash: str
    request: Mapping[str, Any]
    cost: Cost
    shown: tuple[tuple[str, str], ...] = ()
    makes: tuple[tuple[str, str], ...] = ()
    leaves_behind: tuple[str, ...] = ()
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
        return {
            "cxr-run": self.job_id,
            "cxr-manifest": manifest_label(self.manifest_hash),
            PLACE_LABEL: place_label(self.connection),
        }

    def rows(self) -> list[tuple[str, str]]:
        """What a user reads before saying yes."""
        where = self.connection
        return [
            ("job", self.job_id),
            ("on", where.place),
            *([("project", where.project)] if where.project else []),
            ("region", where.region),
            ("manifest", self.manifest_hash[:16]),
            *self.shown,
            *((f"makes {what}", self._named(name)) for what, name in self.makes),
            ("expected cost", self.cost.expectation() if where.billed else f"nothing here; {self.cost.expectation()}"),
            ("cost", self.cost.sentence(billed=where.billed, cloud=where.provider.name)),
            ("price from", self.cost.price.source),
            *(("leaves behind", self._named(item)) for item in self.leaves_behind),
        ]

    def as_json(self) -> dict[str, Any]:
        """The plan's document: what --json prints, --plan saves and --apply reads."""
        return {
            "job": self.job_id,
            "kind": self.kind,
            "where": self.connection.identity(),
            "manifest_hash": self.manifest_hash,
            "request": dict(self.request),
            "attempt": self.attempt,
            "cost": self.cost.as_json(),
            "expected_usd": round(self.cost.expected_usd, 2),
            "worst_case_usd": round(self.cost.worst_usd, 2),
            "billed": self.connection.billed,
            "makes": {what: self._named(name) for what, name in self.makes},
            "leaves_behind": [self._named(item) for item in self.leaves_behind],
            "notes": list(self.notes),
        }

    def _named(self, text: str) -> str:
        return text.replace("{job}", self.job_id)


def manifest_label(manifest_hash: str) -> str:
    """A manifest's hash as a legal label value."""
    return manifest_hash[:32]


def place_label(connection: Connection) -> str:
    """Bucket and prefix as a legal label value: projects are shared, and so is what stands in them."""
    place = json.dumps({"bucket": connection.bucket, "prefix": connection.prefix}, sort_keys=True)
    return hashlib.sha256(place.encode()).hexdigest()[:16]
