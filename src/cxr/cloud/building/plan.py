"""The plan of a build: what, where, on which machine, and what it costs at most."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, Final

from cxr.cloud.building.context import digest_of
from cxr.cloud.connection import Connection
from cxr.cloud.prices.table import Price, PriceTable
from cxr.errors import UsageError

#: As they are called in the price table -> Cloud Build's own names (BuildOptions.MachineType).
MACHINES: Final = {
    "e2-medium": "E2_MEDIUM",
    "e2-standard-2": "E2_STANDARD_2",
    "e2-highcpu-8": "E2_HIGHCPU_8",
    "e2-highcpu-32": "E2_HIGHCPU_32",
}
#: A Docker repository in Artifact Registry: https://cloud.google.com/artifact-registry/docs/docker/names.
_REPOSITORY = re.compile(r"[a-z0-9-]+-docker\.pkg\.dev/[a-z][a-z0-9.:-]+/[a-z][a-z0-9-]{0,62}")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_TAG = re.compile(r"[A-Za-z0-9_][\w.-]{0,127}")
MAXIMUM_TIMEOUT_MINUTES: Final = 24 * 60


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """One build; the id is made of everything that decides it, so that the same plan is the same build."""

    connection: Connection
    image: str
    base: str
    machine: str
    timeout_minutes: int
    context_digest: str
    context_bytes: int
    price: Price

    @property
    def id(self) -> str:
        """A short name, also the build's tag."""
        said = [self.connection.identity(), self.image, self.machine, self.timeout_minutes, self.context_digest]
        return f"image-{hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:10]}"

    @property
    def context_url(self) -> str:
        """Where the context goes."""
        return f"{self.connection.base_url}/builds/{self.id}/context.tar.gz"

    @property
    def worst_usd(self) -> float:
        """The timeout times the price."""
        return self.price.usd_per_hour * self.timeout_minutes

    def rows(self, *, make_bucket: bool) -> list[tuple[str, str]]:
        """What a user reads before saying yes."""
        where = self.connection
        rate = f"{self.price.usd_per_hour:g} USD a build minute, read {self.price.read_on}: {self.price.source}"
        here = "" if where.billed else "nothing here; on Google "
        made = [("bucket", f"gs://{where.bucket} (will be made in {where.region}, private)")] if make_bucket else []
        return [
            ("build", self.id),
            ("on", where.place),
            ("under", where.parent),
            ("makes", self.image),
            ("from", self.base),
            *made,
            ("context", f"{self.context_url} ({self.context_bytes / 1e6:,.1f} MB)"),
            ("machine", self.machine),
            ("timeout", f"{self.timeout_minutes} minutes"),
            ("cost", f"{here}at most {self.worst_usd:,.2f} USD ({rate}); the image's storage comes on top"),
            ("leaves behind", f"the image (some GB in Artifact Registry) and {self.context_url}"),
        ]

    def as_json(self) -> dict[str, Any]:
        """The plan for --json."""
        return {
            "build": self.id,
            "where": self.connection.identity(),
            "image": self.image,
            "base": self.base,
            "machine": self.machine,
            "timeout_minutes": self.timeout_minutes,
            "context": self.context_url,
            "context_digest": self.context_digest,
            "worst_case_usd": round(self.worst_usd, 2),
            "price_read_on": self.price.read_on,
            "simulated": not self.connection.billed,
        }


def plan_build(
    connection: Connection,
    files: dict[str, bytes],
    *,
    repository: str,
    name: str,
    tag: str | None,
    base: str,
    machine: str,
    timeout_minutes: int,
    prices: PriceTable,
) -> BuildPlan:
    """The plan; nothing is asked of the service. Without a tag the image is tagged by what is in the context.

    Raises UsageError for what is no repository, name, tag, machine or timeout.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise UsageError(
            f"{repository!r} is no Docker repository of Artifact Registry",
            hint=f"--repository {connection.region}-docker.pkg.dev/{connection.project}/REPOSITORY",
        )
    digest = digest_of(files)
    tag = tag or digest[:12]
    if not _NAME.fullmatch(name) or not _TAG.fullmatch(tag):
        raise UsageError(f"{name}:{tag} is no image's name", hint="letters, digits, dots, dashes; --name and --tag")
    if machine not in MACHINES:
        raise UsageError(f"Cloud Build has no machine {machine!r}", hint=f"choose one of: {', '.join(MACHINES)}")
    if not 1 <= timeout_minutes <= MAXIMUM_TIMEOUT_MINUTES:
        raise UsageError(f"a timeout of {timeout_minutes} minutes is not between a minute and a day")
    size = sum(len(data) for data in files.values())
    image = f"{repository}/{name}:{tag}"
    return BuildPlan(connection, image, base, machine, timeout_minutes, digest, size, prices.build_minute(machine))
