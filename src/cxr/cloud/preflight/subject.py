"""What is about to happen: the purpose, and what of it can be checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from cxr.cloud.offers import Hardware, choose_hardware
from cxr.cloud.plans import JobKind
from cxr.cloud.prices import PriceTable
from cxr.manifests.manifest import Manifest


class Purpose(StrEnum):
    """What the check is for."""

    ANY = "any"
    UPLOAD = "upload"
    AUTOML = "automl"
    CUSTOM = "custom"
    TUNE = "tune"
    IMAGE = "image"

    @property
    def trains(self) -> bool:
        """Whether a job of Vertex AI is meant."""
        return self in TRAININGS


TRAININGS = frozenset({Purpose.AUTOML, Purpose.CUSTOM, Purpose.TUNE})


@dataclass(frozen=True, slots=True)
class Subject:
    """A purpose with its wishes as given: nothing has been checked yet. `replicas` and `timeout_hours` are those of the
    job, of a tuning job those of one trial; `manifest_path` and `state_dir` are for hints."""

    purpose: Purpose
    manifest: Manifest | None = None
    manifest_path: str = "manifest.csv"
    model_type: str = "mobile-versatile"
    budget_node_hours: float = 1.0
    machine: str = "g2-standard-4"
    gpus: int | None = None
    accelerator: str | None = None
    replicas: int = 1
    spot: bool = False
    disk_gb: int = 100
    timeout_hours: float = 2.0
    trials: int = 1
    parallel: int = 1
    prices: PriceTable | None = None
    state_dir: Path | None = None

    def hardware(self) -> Hardware:
        """The machines of the job, or of one trial. Raises UsageError when there are no such machines."""
        return choose_hardware(
            self.machine,
            gpus=self.gpus,
            accelerator=self.accelerator,
            replicas=self.replicas,
            spot=self.spot,
            disk_gb=self.disk_gb,
        )

    @property
    def worst_hours(self) -> float:
        """Hours that are paid for at most: node hours, or those of all trials."""
        return self.budget_node_hours if self.purpose is Purpose.AUTOML else self.trials * self.timeout_hours


class Planned(Protocol):
    """What a launch's plan and a saved one have in common."""

    @property
    def kind(self) -> JobKind: ...
    @property
    def request(self) -> Mapping[str, Any]: ...


def subject_of(plan: Planned, manifest: Manifest | None) -> Subject | None:
    """What a launch's plan asks for; None for a plan of something that trains nothing."""
    request = plan.request
    if plan.kind is JobKind.AUTOML:
        hours = float(request["budget_milli_node_hours"]) / 1000
        return Subject(Purpose.AUTOML, manifest, model_type=str(request["model_type"]), budget_node_hours=hours)
    if plan.kind not in {JobKind.CUSTOM, JobKind.TUNE}:
        return None
    return Subject(
        Purpose(plan.kind),
        manifest,
        machine=str(request["machine"]),
        gpus=int(request["gpus"]),
        accelerator=request["accelerator"],
        replicas=int(request["replicas"]),
        spot=bool(request["spot"]),
        disk_gb=int(request["disk_gb"]),
        timeout_hours=float(request["timeout_hours"]),
        trials=int(request.get("trials", 1)),
        parallel=int(request.get("parallel", 1)),
    )
