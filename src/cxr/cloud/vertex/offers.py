"""What Google offers for training: AutoML image model types with their budgets, machines with their accelerators.

Sources: the AutoML image task definition (budgetMilliNodeHours) and the configure-compute page of custom training.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cxr.cloud import hardware
from cxr.cloud.hardware import Hardware, Machine
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
) -> Hardware:
    """The hardware of a job out of MACHINES. Raises as `cxr.cloud.hardware.choose_hardware`."""
    return hardware.choose_hardware(
        machine,
        MACHINES,
        gpus=gpus,
        accelerator=accelerator,
        replicas=replicas,
        spot=spot,
        disk_gb=disk_gb,
    )
