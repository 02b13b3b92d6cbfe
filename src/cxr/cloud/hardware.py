"""What a job runs on: machines with their accelerators, and how one is chosen out of a cloud's table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cxr.errors import UsageError


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


def choose_hardware(
    machine: str,
    machines: Mapping[str, Machine],
    *,
    gpus: int | None = None,
    accelerator: str | None = None,
    replicas: int = 1,
    spot: bool = False,
    disk_gb: int = 100,
) -> Hardware:
    """The hardware of a job, out of the table of a cloud; without `gpus` what the machine has. Raises UsageError for a
    machine that is not in the table, or accelerators that do not go with it."""
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
