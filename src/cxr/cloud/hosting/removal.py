"""What undoing a hosting would do: the page's files, what made its bucket public, the bucket if it was made for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cxr.cloud.hosting.host import FoundBucket, Host
from cxr.cloud.hosting.plan import Stale, read_hosted
from cxr.cloud.hosting.record import RECORD, Record
from cxr.errors import NotFound


@dataclass(frozen=True, slots=True)
class RemovalPlan:
    """`doomed` are the page's files that are still there, the record last."""

    host: Host
    prefix: str
    found: FoundBucket
    record: Record
    doomed: tuple[Stale, ...]

    @property
    def withdraw(self) -> bool:
        """Whether the bucket was made public for the page."""
        return self.record.before is not None

    @property
    def drop_bucket(self) -> bool:
        """Whether the bucket was made for the page; it goes when nothing else is in it."""
        return self.record.made_bucket

    def rows(self) -> list[tuple[str, str]]:
        """What a user reads before saying yes."""
        return [
            ("on", self.host.place),
            ("from", f"{self.host.url}/{self.prefix}"),
            ("to be deleted", f"{len(self.doomed):,} files"),
            ("public", "no more: as it was before" if self.withdraw else "stays as it is"),
            ("bucket", "deleted when it is empty then: it was made for the page" if self.drop_bucket else "stays"),
        ]

    def as_json(self) -> dict[str, Any]:
        """The plan for --json and for a plan file."""
        return {
            "action": "remove",
            "where": {**self.host.identity(), "prefix": self.prefix},
            "location": self.found.location,
            "delete": [{"name": one.name, "version": one.version} for one in self.doomed],
            "withdraw": self.withdraw,
            "drop_bucket": self.drop_bucket,
        }


def plan_removal(host: Host, prefix: str) -> RemovalPlan:
    """Raises NotFound when no page of cxr's is hosted below `prefix`."""
    found = host.look()
    stored = {one.name.removeprefix(prefix): one for one in host.objects(prefix)} if found else {}
    if found is None or RECORD not in stored:
        raise NotFound(f"no page is hosted at {host.url}/{prefix}", hint="name its --bucket and --prefix")
    record = read_hosted(host, prefix, stored)
    names = (*(name for name in record.files if name in stored and name != RECORD), RECORD)
    return RemovalPlan(host, prefix, found, record, tuple(Stale(name, stored[name].version) for name in names))
