"""What Google charges, as a table with date and source. Prices move: a plan shows the date beside the figure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cxr.errors import UsageError


class ModelType(StrEnum):
    """AutoML image model types, by the names of the command line."""

    CLOUD = "cloud"
    MOBILE_LOW_LATENCY = "mobile-low-latency"
    MOBILE_VERSATILE = "mobile-versatile"
    MOBILE_HIGH_ACCURACY = "mobile-high-accuracy"


@dataclass(frozen=True, slots=True)
class Price:
    """USD an hour, the day it was read, where, and for which region (None: all in which it is offered)."""

    usd_per_hour: float
    read_on: str
    source: str
    region: str | None = None


@dataclass(frozen=True, slots=True)
class AutoMLOffer:
    """One AutoML model type: the service's name, its legal budget in milli node hours, its price a node hour.

    Limits: the AutoML image task definition, field budgetMilliNodeHours.
    """

    service_name: str
    minimum_milli_node_hours: int
    maximum_milli_node_hours: int
    price: Price
    exportable: bool


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine type for custom jobs: how many of which accelerator it has, and the price of all of it."""

    name: str
    accelerator: str | None
    accelerators: int
    price: Price


_AUTOML_PAGE = "Vertex AI pricing page"
_CLOUD_PRICE = Price(3.465, "2026-10-07", _AUTOML_PAGE)
_EDGE_PRICE = Price(18.00, "2026-10-07", _AUTOML_PAGE)
# The rate card of 2026-10-07 lists n1-standard-4 at 0.2185, 1.15 times Compute Engine's list price of 0.19. The other
# machines are Compute Engine's list prices (0.7068, 0.8536, 3.6734) times that same factor; disks come on top.
_DERIVED = "Compute Engine list price, us-central1, x 1.15 (the factor of n1-standard-4 on the Vertex AI pricing page)"


def _machine_price(usd_per_hour: float, source: str, read_on: str = "2026-11-20") -> Price:
    return Price(usd_per_hour, read_on, source, "us-central1")


AUTOML_OFFERS: dict[ModelType, AutoMLOffer] = {
    ModelType.CLOUD: AutoMLOffer("CLOUD", 8_000, 800_000, _CLOUD_PRICE, exportable=False),
    ModelType.MOBILE_LOW_LATENCY: AutoMLOffer("MOBILE_TF_LOW_LATENCY_1", 1_000, 100_000, _EDGE_PRICE, exportable=True),
    ModelType.MOBILE_VERSATILE: AutoMLOffer("MOBILE_TF_VERSATILE_1", 1_000, 100_000, _EDGE_PRICE, exportable=True),
    ModelType.MOBILE_HIGH_ACCURACY: AutoMLOffer(
        "MOBILE_TF_HIGH_ACCURACY_1", 1_000, 100_000, _EDGE_PRICE, exportable=True
    ),
}

MACHINES: dict[str, Machine] = {
    machine.name: machine
    for machine in (
        Machine("n1-standard-4", None, 0, _machine_price(0.2185, _AUTOML_PAGE, "2026-10-07")),
        Machine("g2-standard-4", "NVIDIA_L4", 1, _machine_price(0.8129, _DERIVED)),
        Machine("g2-standard-8", "NVIDIA_L4", 1, _machine_price(0.9818, _DERIVED)),
        Machine("a2-highgpu-1g", "NVIDIA_TESLA_A100", 1, _machine_price(4.2245, _DERIVED)),
    )
}

#: Where AutoML image training is offered (Vertex AI locations page).
AUTOML_REGIONS = ("us-central1", "europe-west4")


def automl_offer(model_type: str) -> AutoMLOffer:
    """The offer for a model type of the command line. Raises UsageError listing the choices."""
    try:
        return AUTOML_OFFERS[ModelType(model_type)]
    except ValueError:
        raise UsageError(
            f"there is no AutoML model type {model_type!r}", hint=f"choose one of: {', '.join(ModelType)}"
        ) from None


def machine_offer(name: str) -> Machine:
    """The machine of that name. Raises UsageError listing those whose price is known."""
    if name not in MACHINES:
        raise UsageError(
            f"the price of machine type {name!r} is not known, so it is not launched",
            hint=f"known machine types: {', '.join(MACHINES)}",
        )
    return MACHINES[name]
