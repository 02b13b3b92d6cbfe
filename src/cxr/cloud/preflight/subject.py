"""What is about to happen: the purpose, and what of it can be checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from cxr.cloud.plans.launch import JobKind
from cxr.cloud.prices.table import PriceTable
from cxr.cloud.provider import AutoMLWishes, HardwareWishes
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
    """A purpose with its wishes as given: nothing has been checked yet. `hardware` and `timeout_hours` are those of the
    job, of a tuning job those of one trial; `manifest_path` and `state_dir` are for hints."""

    purpose: Purpose
    manifest: Manifest | None = None
    manifest_path: str = "manifest.csv"
    automl: AutoMLWishes = field(default_factory=AutoMLWishes)
    hardware: HardwareWishes = field(default_factory=HardwareWishes)
    timeout_hours: float = 2.0
    trials: int = 1
    parallel: int = 1
    prices: PriceTable | None = None
    state_dir: Path | None = None


class Planned(Protocol):
    """What a launch's plan and a saved one have in common."""

    @property
    def kind(self) -> JobKind:
        """What would run."""

    @property
    def request(self) -> Mapping[str, Any]:
        """What the provider is asked for, by the launch plan's own keys."""


def subject_of(plan: Planned, manifest: Manifest | None) -> Subject | None:
    """What a launch's plan asks for; None for a plan of something that trains nothing."""
    request = plan.request
    if plan.kind is JobKind.AUTOML:
        return Subject(Purpose.AUTOML, manifest, automl=_automl_of(request))
    if plan.kind not in {JobKind.CUSTOM, JobKind.TUNE}:
        return None
    wishes = HardwareWishes(
        machine=str(request["machine"]),
        gpus=int(request["gpus"]),
        accelerator=request["accelerator"],
        replicas=int(request["replicas"]),
        spot=bool(request["spot"]),
        disk_gb=int(request["disk_gb"]),
        engine=request.get("engine"),
    )
    return Subject(
        Purpose(plan.kind),
        manifest,
        hardware=wishes,
        timeout_hours=float(request["timeout_hours"]),
        trials=int(request.get("trials", 1)),
        parallel=int(request.get("parallel", 1)),
    )


def _automl_of(request: Mapping[str, Any]) -> AutoMLWishes:
    milli = request.get("budget_milli_node_hours")
    return AutoMLWishes(
        model_type=request.get("model_type"),
        budget_node_hours=None if milli is None else float(milli) / 1000,
        budget_hours=request.get("budget_hours"),
    )
