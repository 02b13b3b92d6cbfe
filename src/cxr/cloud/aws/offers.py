"""What Amazon offers for training: machine types of SageMaker and of EC2, the limits of a run, and Autopilot.

Sources: the types of CreateTrainingJob (API_ResourceConfig) and of EC2; the pages of the GPU families for how many GPUs
a size has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from cxr.cloud import hardware
from cxr.cloud.hardware import Hardware, Machine
from cxr.errors import UsageError
from cxr.storage.amazon.session import service_regions


class Engine(StrEnum):
    """What runs the trainer: a SageMaker training job, or one EC2 instance that shuts itself down."""

    SAGEMAKER = "sagemaker"
    EC2 = "ec2"


@dataclass(frozen=True, slots=True)
class AutopilotOffer:
    """Image classification by Autopilot (CreateAutoMLJobV2). The service chooses its instances and tells which only in
    the bill, so that the machines here are assumptions: one for what is expected, a dear one for the worst case."""

    candidates: int
    minimum_seconds: int
    maximum_seconds: int
    expected_machine: str
    worst_machine: str
    basis: str


#: In front of the name of an EC2 type: that type as SageMaker rents it.
ML = "ml."
DEFAULT_MACHINES: Mapping[Engine, str] = {Engine.SAGEMAKER: "ml.g4dn.xlarge", Engine.EC2: "g4dn.xlarge"}
#: What a page is served from, and its architecture as the names of machine images have it.
PAGE_MACHINES: Mapping[str, str] = {"t3.micro": "x86_64", "t3.nano": "x86_64", "t4g.nano": "arm64"}
#: Families that Amazon rents no more, and their heirs. Source: `describe_instance_types` knows no p2.
RETIRED: Mapping[str, str] = {"p2": "g4dn.xlarge"}

#: `MaxRuntimeInSeconds` of a training job without a raised quota (SageMaker quotas, "Longest run time for a training
#: job"), and the most that the API takes (API_StoppingCondition: 28 days).
DEFAULT_MAXIMUM_SECONDS = 432_000
MAXIMUM_SECONDS = 28 * 24 * 3600
#: A spot job's `MaxWaitTimeInSeconds` is at least its `MaxRuntimeInSeconds` (API_StoppingCondition). The page names no
#: most, so that it is held to that of the run.
MAXIMUM_WAIT_SECONDS = MAXIMUM_SECONDS
#: Instances of one training job without a raised quota (SageMaker quotas, "Maximum number of instances per training
#: job").
DEFAULT_MAXIMUM_INSTANCES = 20

AUTOPILOT = AutopilotOffer(
    # API_AutoMLJobCompletionCriteria: the supported value for image classification.
    candidates=1,
    # The same page: at least 1 second, and no most. A training job is the longest thing that Autopilot starts.
    minimum_seconds=1,
    maximum_seconds=MAXIMUM_SECONDS,
    expected_machine="ml.g5.12xlarge",
    worst_machine="ml.g5.48xlarge",
    basis="Amazon does not say which instances Autopilot takes for images",
)

_T4, _A10G, _L4, _L40S = "NVIDIA_TESLA_T4", "NVIDIA_A10G", "NVIDIA_L4", "NVIDIA_L40S"
_V100, _A100 = "NVIDIA_TESLA_V100", "NVIDIA_TESLA_A100"
_ONE_TO_EIGHT = {"": 1, "2": 1, "4": 1, "8": 1, "16": 1, "12": 4, "24": 4, "48": 8}

#: By family: the GPU, and how many of them each size (so many times `xlarge`) has.
_GPU_FAMILIES: Mapping[str, tuple[str, Mapping[str, int]]] = {
    "g4dn": (_T4, {"": 1, "2": 1, "4": 1, "8": 1, "16": 1, "12": 4}),
    "g5": (_A10G, _ONE_TO_EIGHT),
    "g6": (_L4, _ONE_TO_EIGHT),
    "g6e": (_L40S, _ONE_TO_EIGHT),
    "p3": (_V100, {"2": 1, "8": 4, "16": 8}),
    "p4d": (_A100, {"24": 8}),
}
_WITHOUT_GPU = ("m5.large", "m5.xlarge", "m5.2xlarge", *(f"c5.{size}xlarge" for size in ("", 2, 4, 9, 18)))


def _machines(prefix: str) -> dict[str, Machine]:
    found = [
        Machine(f"{prefix}{family}.{size}xlarge", accelerator, count)
        for family, (accelerator, sizes) in _GPU_FAMILIES.items()
        for size, count in sizes.items()
    ]
    found += [Machine(f"{prefix}{name}") for name in _WITHOUT_GPU]
    return {machine.name: machine for machine in found}


MACHINES: Mapping[Engine, Mapping[str, Machine]] = {Engine.SAGEMAKER: _machines(ML), Engine.EC2: _machines("")}


def choose_hardware(
    machine: str,
    *,
    gpus: int | None = None,
    accelerator: str | None = None,
    replicas: int = 1,
    spot: bool = False,
    disk_gb: int = 100,
    engine: str = Engine.SAGEMAKER,
) -> Hardware:
    """The hardware of a job of `engine`; without `gpus` what the machine has.

    Raises UsageError for an engine or a machine that is not known, is retired, or is another engine's, for GPUs that do
    not go with the machine, and for several EC2 instances.
    """
    which = _engine(engine)
    _refuse_retired(machine)
    _refuse_other_engine(machine, which)
    if which is Engine.EC2 and replicas > 1:
        raise UsageError(
            f"{replicas} replicas on EC2: a job there is one instance", hint="--engine sagemaker, or --replicas 1"
        )
    return hardware.choose_hardware(
        machine,
        MACHINES[which],
        gpus=gpus,
        accelerator=accelerator,
        replicas=replicas,
        spot=spot,
        disk_gb=disk_gb,
    )


def training_seconds(hours: float) -> int:
    """`MaxRuntimeInSeconds` for so many hours. Raises UsageError for none, and for more than the API takes."""
    seconds = round(hours * 3600)
    if not 1 <= seconds <= MAXIMUM_SECONDS:
        days = MAXIMUM_SECONDS // 86400
        raise UsageError(f"a run of {hours:g} h is not possible", hint=f"from a second to {days} days: --timeout-hours")
    return seconds


def sagemaker_regions() -> frozenset[str]:
    """The regions with SageMaker, of all of Amazon's partitions, as botocore's endpoint data has them. Raises
    MissingPackage without boto3."""
    return service_regions("sagemaker")


def _engine(name: str) -> Engine:
    try:
        return Engine(name)
    except ValueError:
        raise UsageError(f"there is no engine {name!r}", hint=f"choose one of: {', '.join(Engine)}") from None


def _refuse_retired(machine: str) -> None:
    prefix, name = _split(machine)
    heir = RETIRED.get(name.partition(".")[0])
    if heir:
        raise UsageError(f"{machine} is retired; {prefix}{heir} is its heir", hint=f"--machine {prefix}{heir}")


def _refuse_other_engine(machine: str, engine: Engine) -> None:
    prefix, name = _split(machine)
    other = Engine.EC2 if engine is Engine.SAGEMAKER else Engine.SAGEMAKER
    if machine in MACHINES[engine] or machine not in MACHINES[other]:
        return
    rented = "EC2" if other is Engine.EC2 else "SageMaker"
    twin = name if prefix else f"{ML}{name}"
    raise UsageError(f"{machine} is a machine type of {rented}", hint=f"--machine {twin}, or --engine {other}")


def _split(machine: str) -> tuple[str, str]:
    """What stands in front of the EC2 name, and that name."""
    return (ML, machine.removeprefix(ML)) if machine.startswith(ML) else ("", machine)
