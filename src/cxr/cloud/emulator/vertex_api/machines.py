"""Which accelerator goes into which machine.

Source: https://cloud.google.com/vertex-ai/docs/training/configure-compute (2026-10).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cxr.cloud.emulator.errors import invalid_argument

_MACHINE = re.compile(r"[a-z][a-z0-9]{1,5}-[a-z0-9-]+")
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
    """Raise 400 for a machine without a type, or an accelerator that does not go with it; unlisted ones pass."""
    machine = spec.get("machineType", "")
    if not _MACHINE.fullmatch(machine):
        raise invalid_argument(f"Machine type {machine!r} is not supported.", field="machine_spec.machine_type")
    if machine.startswith("g2-") and machine not in G2_GPUS:
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
