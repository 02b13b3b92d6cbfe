"""What Google offers for training: AutoML image model types with their budgets, machines with their accelerators.

Sources: the AutoML image task definition (budgetMilliNodeHours) and the configure-compute page of custom training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from cxr.errors import UsageError

#: Where AutoML image training is offered (Vertex AI locations page).
AUTOML_REGIONS = ("us-central1", "europe-west4")


class ModelType(StrEnum):
    """AutoML image model types, by the names of the command line."""

    CLOUD = "cloud"
    MOBILE_LOW_LATENCY = "mobile-low-latency"
    MOBILE_VERSATILE = "mobile-versatile"
    MOBILE_HIGH_ACCURACY = "mobile-high-accuracy"


@dataclass(frozen=True, slots=True)
class AutoMLOffer:
    """One AutoML model type: the service's name and its legal budget in milli node hours."""

    model_type: ModelType
    service_name: str
    minimum_milli_node_hours: int
    maximum_milli_node_hours: int
    exportable: bool


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine type: the accelerator that is built in and how many, or those that can be attached and in which
    numbers."""

    name: str
    accelerator: str | None = None
    accelerators: int = 0
    attachable: Mapping[str, tuple[int, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Hardware:
    """What each of `replicas` equal machines of a job is. `gpus` is that of one machine; `disk_gb` its boot disk."""

    machine: str
    accelerator: str | None
    gpus: int
    replicas: int = 1
    spot: bool = False
    disk_gb: int = 100

    @property
    def words(self) -> str:
        """One line for a plan."""
        gpus = f", {self.gpus} x {self.accelerator}" if self.accelerator else ", no GPU"
        replicas = f"{self.replicas} x " if self.replicas > 1 else ""
        return f"{replicas}{self.machine}{gpus}{', spot' if self.spot else ''}"


def _mobile(model_type: ModelType, service_name: str) -> AutoMLOffer:
    return AutoMLOffer(model_type, service_name, 1_000, 100_000, exportable=True)


AUTOML_OFFERS: dict[ModelType, AutoMLOffer] = {
    offer.model_type: offer
    for offer in (
        AutoMLOffer(ModelType.CLOUD, "CLOUD", 8_000, 800_000, exportable=False),
        _mobile(ModelType.MOBILE_LOW_LATENCY, "MOBILE_TF_LOW_LATENCY_1"),
        _mobile(ModelType.MOBILE_VERSATILE, "MOBILE_TF_VERSATILE_1"),
        _mobile(ModelType.MOBILE_HIGH_ACCURACY, "MOBILE_TF_HIGH_ACCURACY_1"),
    )
}

_ON_N1 = {"NVIDIA_TESLA_T4": (1, 2, 4), "NVIDIA_TESLA_V100": (1, 2, 4, 8)}
_L4, _A100 = "NVIDIA_L4", "NVIDIA_TESLA_A100"

MACHINES: dict[str, Machine] = {
    machine.name: machine
    for machine in (
        *(Machine(f"n1-standard-{size}", attachable=_ON_N1) for size in (4, 8, 16)),
        *(Machine(f"g2-standard-{size}", _L4, 1) for size in (4, 8, 12, 16, 32)),
        Machine("g2-standard-24", _L4, 2),
        Machine("g2-standard-48", _L4, 4),
        Machine("g2-standard-96", _L4, 8),
        Machine("a2-highgpu-1g", _A100, 1),
        Machine("a2-highgpu-2g", _A100, 2),
    )
}


def automl_offer(model_type: str) -> AutoMLOffer:
    """The offer for a model type of the command line. Raises UsageError listing the choices."""
    try:
        return AUTOML_OFFERS[ModelType(model_type)]
    except ValueError:
        raise UsageError(
            f"there is no AutoML model type {model_type!r}", hint=f"choose one of: {', '.join(ModelType)}"
        ) from None


def choose_hardware(
    machine: str,
    *,
    gpus: int | None = None,
    accelerator: str | None = None,
    replicas: int = 1,
    spot: bool = False,
    disk_gb: int = 100,
    machines: Mapping[str, Machine] = MACHINES,
) -> Hardware:
    """The hardware of a job, out of the table of a cloud (Google's); without `gpus` what the machine has. Raises
    UsageError for a machine that is not in the table, or accelerators that do not go with it."""
    known = machines.get(machine)
    if known is None:
        raise UsageError(f"the machine type {machine!r} is not known", hint=f"choose one of: {', '.join(machines)}")
    if replicas < 1:
        raise UsageError(f"{replicas} replicas are none")
    if known.attachable is None:
        count, kind = _built_in(known, gpus, accelerator, machines)
    else:
        count, kind = _attached(known, known.attachable, gpus, accelerator)
    return Hardware(machine, kind, count, replicas, spot, disk_gb)


def _built_in(
    machine: Machine, gpus: int | None, accelerator: str | None, machines: Mapping[str, Machine]
) -> tuple[int, str | None]:
    if machine.accelerator is None and (accelerator or gpus):
        raise UsageError(f"{machine.name} has no GPU", hint="leave --gpus and --accelerator out, or another --machine")
    if accelerator not in {None, machine.accelerator}:
        raise UsageError(f"{machine.name} has {machine.accelerator}, not {accelerator}", hint="leave --accelerator out")
    if gpus not in {None, machine.accelerators}:
        others = [
            one.name for one in machines.values() if (one.accelerator, one.accelerators) == (machine.accelerator, gpus)
        ]
        raise UsageError(
            f"{machine.name} has {machine.accelerators} x {machine.accelerator}, not {gpus}",
            hint=f"--machine {' or '.join(others)}"
            if others
            else f"leave --gpus out, or --gpus {machine.accelerators}",
        )
    return machine.accelerators, machine.accelerator


def _attached(
    machine: Machine, attachable: Mapping[str, tuple[int, ...]], gpus: int | None, accelerator: str | None
) -> tuple[int, str | None]:
    if accelerator is None and not gpus:
        return 0, None
    kind = accelerator or next(iter(attachable))
    if kind not in attachable:
        raise UsageError(f"{machine.name} takes {', '.join(attachable)}, not {kind}")
    count = 1 if gpus is None else gpus
    if count not in attachable[kind]:
        raise UsageError(f"{machine.name} takes {', '.join(map(str, attachable[kind]))} x {kind}, not {count}")
    return count, kind
