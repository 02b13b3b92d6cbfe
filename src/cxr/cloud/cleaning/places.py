"""Where something was launched: a project holds what was launched for many buckets and prefixes, each cleaned alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from cxr.cloud.connection import Connection
from cxr.cloud.jobs.journal import Job
from cxr.cloud.jobs.seen import RUN_LABEL
from cxr.cloud.plans.launch import PLACE_LABEL, place_label


class Where(Enum):
    """For the bucket and prefix that are being cleaned, for others, or nobody knows."""

    HERE = auto()
    ELSEWHERE = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Places:
    """Tells by a label, by the folder that a job writes to, or by the journal. `launched` says of the runs that this
    journal has launched whether it was here."""

    base_url: str
    label: str
    launched: Mapping[str, bool]

    def of(self, labels: Mapping[str, str], output_url: str = "") -> Where:
        """Where what carries these labels was launched; `output_url` is where it writes, if it does."""
        said, run = labels.get(PLACE_LABEL, ""), labels.get(RUN_LABEL, "")
        if said:
            return _where(said == self.label)
        folder = re.fullmatch(rf"(\w+://.+)/(?:jobs|predictions)/{re.escape(run)}(?:/.*)?", output_url) if run else None
        if folder:
            return _where(folder.group(1) == self.base_url)
        return _where(self.launched[run]) if run in self.launched else Where.UNKNOWN


def places_of(connection: Connection, journal: Sequence[Job]) -> Places:
    """What can be told at this connection. An attached job's place in the journal is a guess, and is not asked."""
    launched = {job.id: is_at(job, connection) for job in journal if not job.attached}
    return Places(connection.base_url, place_label(connection), launched)


def is_here(job: Job, connection: Connection) -> bool:
    """Whether a job of the journal is in this project and region. An account of Amazon's need not be named: then it is
    that of the credentials, and not known here."""
    same = job.project == connection.project or not (job.project and connection.project)
    return same and (job.on, job.region) == (connection.on, connection.region)


def is_at(job: Job, connection: Connection) -> bool:
    """Whether a job of the journal works in this bucket and prefix."""
    return (job.bucket, job.prefix) == (connection.bucket, connection.prefix)


def short_of(resource: str) -> str:
    """A resource name for people: without project or account, region and version."""
    name = resource.partition("@")[0]
    return name.split(":", 5)[-1] if name.startswith("arn:") else "/".join(name.split("/")[4:])


def same_thing(one: str, other: str) -> bool:
    """Whether two names mean one thing: resource names, whoever wrote the project in them, ARNs, or the bare names by
    which SageMaker's jobs tell their models."""
    if not one or not other:
        return False
    if "/" in one and "/" in other:
        return short_of(one) == short_of(other)
    return one.rpartition("/")[2] == other.rpartition("/")[2]


def _where(here: bool) -> Where:
    return Where.HERE if here else Where.ELSEWHERE
