"""Which machines there are, and which accelerator goes into which of them.

Source: https://cloud.google.com/vertex-ai/docs/training/configure-compute (2026-10).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cxr.cloud.emulator.errors import invalid_argument

_N2 = (2, 4, 8, 16, 32, 48, 64, 80)
#: Series and class -> their sizes, for training and for prediction together. Where the two lists differ, both pass.
SIZES: dict[str, tuple[int | str, ...]] = {
    "e2-standard": (2, 4, 8, 16, 32),
    "e2-highmem": (2, 4, 8, 16),
    "e2-highcpu": (2, 4, 8, 16, 32),
    "n1-standard": (1, 2, 4, 8, 16, 32, 64, 96),
    "n1-highmem": (2, 4, 8, 16, 32, 64, 96),
    "n1-highcpu": (2, 4, 8, 16, 32, 64, 96),
    "n2-standard": (*_N2, 96, 128),
    "n2-highmem": (*_N2, 96, 128),
    "n2-highcpu": (*_N2, 96),
    "n2d-standard": (*_N2, 96, 128, 224),
    "n2d-highmem": (*_N2, 96),
    "n2d-highcpu": (*_N2, 96, 128, 224),
    "c2-standard": (4, 8, 16, 30, 60),
    "c2d-standard": (2, 4, 8, 16, 32, 56, 112),
    "c2d-highmem": (2, 4, 8, 16, 32, 56, 112),
    "c2d-highcpu": (2, 4, 8, 16, 32, 56, 112),
    "c3-standard": (4, 8, 22, 44, 88, 176),
    "c3-highmem": (4, 8, 22, 44, 88, 176),
    "c3-highcpu": (4, 8, 22, 44, 88, 176),
    "m1-ultramem": (40, 80, 160),
    "m1-megamem": (96,),
    "g2-standard": (4, 8, 12, 16, 24, 32, 48, 96),
    "a2-highgpu": ("1g", "2g", "4g", "8g"),
    "a2-ultragpu": ("1g", "2g", "4g", "8g"),
    "a2-megagpu": ("16g",),
    "a3-highgpu": ("1g", "2g", "4g", "8g"),
    "a3-edgegpu": ("8g",),
    "a3-megagpu": ("8g",),
    "a3-ultragpu": ("8g",),
    "a4-highgpu": ("8g",),
    "a4x-highgpu": ("4g",),
    "ct5lp-hightpu": ("1t", "4t", "8t"),
    "ct6e-standard": ("1t", "4t", "8t"),
}
MACHINES = frozenset({"cloud-tpu", *(f"{series}-{size}" for series, sizes in SIZES.items() for size in sizes)})
#: Accelerator -> the machine series that take it, and the counts that they take.
ACCELERATORS: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "NVIDIA_TESLA_T4": (("n1",), (1, 2, 4)),
    "NVIDIA_TESLA_P4": (("n1",), (1, 2, 4)),
    "NVIDIA_TESLA_P100": (("n1",), (1, 2, 4)),
    "NVIDIA_TESLA_V100": (("n1",), (1, 2, 4, 8)),
    "NVIDIA_L4": (("g2",), (1, 2, 4, 8)),
    "NVIDIA_TESLA_A100": (("a2",), (1, 2, 4, 8, 16)),
    "NVIDIA_A100_80GB": (("a2",), (1, 2, 4, 8)),
    "NVIDIA_H100_80GB": (("a3",), (1, 2, 4, 8)),
}
#: L4s that a g2 machine has, fixed by its type.
G2_GPUS = {
    "g2-standard-4": 1,
    "g2-standard-8": 1,
    "g2-standard-12": 1,
    "g2-standard-16": 1,
    "g2-standard-32": 1,
    "g2-standard-24": 2,
    "g2-standard-48": 4,
    "g2-standard-96": 8,
}


def check_machine(spec: Mapping[str, Any]) -> None:
    """Raise 400 for a machine that there is not, or an accelerator that does not go with it; an accelerator that is not
    listed passes."""
    machine = spec.get("machineType", "")
    if machine not in MACHINES:
        raise invalid_argument(f"Machine type {machine!r} is not supported.", field="machine_spec.machine_type")
    accelerator, count = spec.get("acceleratorType"), int(spec.get("acceleratorCount", 0))
    if bool(accelerator) != bool(count):
        raise invalid_argument("accelerator_type and accelerator_count go together.", field="machine_spec")
    if accelerator not in ACCELERATORS:
        return
    series, counts = ACCELERATORS[accelerator]
    fixed = G2_GPUS.get(machine, count)
    if machine.split("-")[0] not in series or count not in counts or count != fixed:
        raise invalid_argument(
            f"Machine type {machine!r} with {count} x {accelerator} is not supported.", field="machine_spec"
        )
