"""What Google charges for training: machines, the GPUs attached to them, and boot disks."""

from __future__ import annotations

from cxr.cloud.hardware import Hardware
from cxr.cloud.prices.table import HOURS_A_MONTH, Charge, PriceList
from cxr.cloud.vertex.offers import MACHINES


def google_charges(hardware: Hardware) -> list[Charge]:
    """A machine, the GPUs that are attached to it, and its boot disk."""
    charges = [Charge("machines", hardware.machine)]
    if hardware.accelerator and MACHINES[hardware.machine].attachable:
        charges.append(Charge("accelerators", hardware.accelerator, hardware.gpus))
    return [*charges, Charge("disks", "pd-ssd", hardware.disk_gb / HOURS_A_MONTH, compute=False)]


GOOGLE = PriceList("gcp", "cxr.cloud.vertex", google_charges)
