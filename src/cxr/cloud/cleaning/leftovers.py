"""What a clean-up is about: the things that were found, why some of them stay, and the plan of it all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from cxr.cloud.cleaning.places import short_of
from cxr.storage import ObjectInfo


class Sort(StrEnum):
    """What a leftover is, in the order of deletion: nothing is deleted while something else needs it, and the jobs of
    trials go with their tuning job."""

    MACHINE = "machine"
    VOLUME = "volume"
    ENDPOINT = "endpoint"
    MODEL = "model"
    AUTOML = "automl job"
    TUNE = "tuning job"
    CUSTOM = "custom job"
    BATCH = "batch prediction"
    DATASET = "dataset"
    OBJECTS = "objects"


ORDER = {sort: number for number, sort in enumerate(Sort)}
JOB_SORTS = frozenset({Sort.AUTOML, Sort.TUNE, Sort.CUSTOM, Sort.BATCH})


@dataclass(frozen=True, slots=True)
class Leftover:
    """One thing: a resource by its full name, or the objects of one folder.

    `name` of a folder is its URL, `objects` are named relative to it, `partial` when it has more that stays.
    `run` and `manifest` are labels, "" when it has none. `kept` says why it stays, "" when it is to be deleted.
    `deployed` are the ids of what is deployed to an endpoint. `usd_per_month` is None when no table tells.
    """

    sort: Sort
    name: str
    run: str = ""
    manifest: str = ""
    detail: str = ""
    kept: str = ""
    size: int = 0
    usd_per_month: float | None = 0.0
    basis: str = ""
    deployed: tuple[str, ...] = ()
    objects: tuple[ObjectInfo, ...] = ()
    partial: bool = False

    @property
    def short_name(self) -> str:
        """The name for a table: without project and region."""
        return self.name if self.sort is Sort.OBJECTS else short_of(self.name)


@dataclass(frozen=True, slots=True)
class Scope:
    """What is asked for: everything of cxr, one manifest's (its label), or certain runs."""

    everything: bool = False
    manifest: str = ""
    runs: frozenset[str] = frozenset()

    def takes(self, run: str, manifest: str) -> bool:
        """Whether something with these labels is meant."""
        if self.everything:
            return bool(run or manifest)
        return run in self.runs or bool(self.manifest and manifest == self.manifest)

    @property
    def words(self) -> str:
        """The scope for people."""
        if self.everything:
            return "everything that carries cxr's labels"
        if self.manifest:
            return f"what the manifest {self.manifest[:16]}… left"
        return f"what {', '.join(sorted(self.runs))} left"


@dataclass(frozen=True, slots=True)
class ImageChoice:
    """Which objects below `images/` go too: those of these paths, or (None) of the manifest that lies beside them."""

    paths: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class CleanPlan:
    """What would be deleted and what stays, in the order of deletion."""

    where: dict[str, str]
    scope: str
    leftovers: tuple[Leftover, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def doomed(self) -> list[Leftover]:
        """What would be deleted, in order."""
        return sorted((one for one in self.leftovers if not one.kept), key=lambda one: ORDER[one.sort])

    @property
    def kept(self) -> list[Leftover]:
        """What stays, and why."""
        return [one for one in self.leftovers if one.kept]


def total_usd(leftovers: Sequence[Leftover]) -> float:
    """USD a month of those whose price is known."""
    return sum(one.usd_per_month or 0.0 for one in leftovers)
