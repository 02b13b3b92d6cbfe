"""How long a job is expected to run: from earlier jobs of the same kind where there are any, otherwise from stated
assumptions. An expectation is never a bound: the bound is the budget or the timeout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cxr.cloud.hardware import Hardware

if TYPE_CHECKING:
    from cxr.cloud.connection import Connection
    from cxr.cloud.jobs.journal import Job

#: Pulling an image of several gigabytes and installing the trainer; assumed.
STARTUP_HOURS = 10 / 60
#: Images trained a second on one accelerator; assumed for the small nets of the recipes, not measured.
ASSUMED_IMAGES_PER_SECOND: Mapping[str | None, float] = {
    None: 40.0,
    "NVIDIA_TESLA_T4": 400.0,
    "NVIDIA_TESLA_V100": 800.0,
    "NVIDIA_L4": 800.0,
    "NVIDIA_A10G": 1000.0,
    "NVIDIA_L40S": 2000.0,
    "NVIDIA_TESLA_A100": 2000.0,
}
#: Decoding a full-size X-ray, a second on one machine; assumed.
ASSUMED_DECODED_PER_SECOND = 100.0
#: Of a request and of a job's details, what says nothing about how long the same work takes.
_APART = frozenset({"seed", "trainer", "image", "timeout_hours", "online"})
#: Of what the second and every further accelerator adds, this share arrives; assumed.
SCALING = 0.8


@dataclass(frozen=True, slots=True)
class Work:
    """What a training has to do: images of the train split, of all splits, and passes over the former (None: not
    known)."""

    train_images: int
    images: int
    epochs: int | None


@dataclass(frozen=True, slots=True)
class Expectation:
    """Hours that a job is expected to run, and why."""

    hours: float
    basis: str


def expected_run(hardware: Hardware, work: Work) -> Expectation:
    """From assumptions alone. Hours are those of the job, not of its replicas together."""
    if work.epochs is None:
        return Expectation(float("inf"), "as long as the timeout allows")
    accelerators = max(1, hardware.gpus) * hardware.replicas
    rate = ASSUMED_IMAGES_PER_SECOND.get(hardware.accelerator, 400.0) * (1 + SCALING * (accelerators - 1))
    seconds = work.images / ASSUMED_DECODED_PER_SECOND + work.train_images * work.epochs / rate
    return Expectation(STARTUP_HOURS + seconds / 3600, f"assumed {rate:.0f} images a second, not measured")


def like_before(
    jobs: Iterable[Job], request: Mapping[str, Any], manifest_hash: str, where: Connection
) -> Expectation | None:
    """The running time of the last successful job of the same request (but for its seed) and manifest at that place: a
    rehearsal on the emulator says nothing about Google's machines."""
    wanted = _comparable(request)
    hours = [
        _hours(job)
        for job in jobs
        if job.succeeded
        and (job.on, job.region, job.manifest_hash) == (where.on, where.region, manifest_hash)
        and _comparable(job.details) == wanted
    ]
    known = [value for value in hours if value is not None]
    return Expectation(known[-1], "as long as the last such job") if known else None


def _comparable(request: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in request.items() if key not in _APART}


def _hours(job: Job) -> float | None:
    try:
        seconds = (datetime.fromisoformat(job.ended) - datetime.fromisoformat(job.started)).total_seconds()
    except ValueError:
        return None
    return seconds / 3600 if seconds > 0 else None
