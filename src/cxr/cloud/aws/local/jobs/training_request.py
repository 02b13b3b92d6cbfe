"""A training job's request, read: CreateTrainingJob's body as the runner needs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Default of MaxRuntimeInSeconds (API reference, StoppingCondition).
DEFAULT_MAX_RUNTIME_SECONDS = 86400


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """What one training job is to do."""

    name: str
    command: Sequence[str]
    hyperparameters: Mapping[str, str]
    environment: Mapping[str, str]
    channels: Sequence[Mapping[str, Any]]
    output_path: str
    checkpoint_uri: str | None
    hosts: Sequence[str]
    instance_type: str
    max_runtime_seconds: float
    is_spot: bool
    metric_definitions: Sequence[Mapping[str, str]]

    @property
    def model_uri(self) -> str:
        """Where its model is stored."""
        return f"{self.output_path.rstrip('/')}/{self.name}/output/model.tar.gz"

    @property
    def output_uri(self) -> str:
        """Where its other output is stored."""
        return f"{self.output_path.rstrip('/')}/{self.name}/output/output.tar.gz"


def training_request(body: Mapping[str, Any]) -> TrainingRequest:
    """Read a body of CreateTrainingJob."""
    algorithm, resources = body["AlgorithmSpecification"], body.get("ResourceConfig") or {}
    count = int(resources.get("InstanceCount", 1))
    mode = algorithm.get("TrainingInputMode", "File")
    return TrainingRequest(
        name=body["TrainingJobName"],
        command=[*(algorithm.get("ContainerEntrypoint") or []), *(algorithm.get("ContainerArguments") or [])],
        hyperparameters=body.get("HyperParameters") or {},
        environment=body.get("Environment") or {},
        channels=[{"InputMode": mode, **channel} for channel in body.get("InputDataConfig") or []],
        output_path=body["OutputDataConfig"]["S3OutputPath"],
        checkpoint_uri=(body.get("CheckpointConfig") or {}).get("S3Uri"),
        hosts=[f"algo-{number}" for number in range(1, count + 1)],
        instance_type=str(resources.get("InstanceType", "")),
        max_runtime_seconds=float(
            (body.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds", DEFAULT_MAX_RUNTIME_SECONDS)
        ),
        is_spot=bool(body.get("EnableManagedSpotTraining")),
        metric_definitions=algorithm.get("MetricDefinitions") or [],
    )
