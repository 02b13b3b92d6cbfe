"""The service's own evaluation of its models, and the slices of it, one a label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cxr.cloud.connection import Connection
from cxr.cloud.vertex.clients import REQUEST_TIMEOUT_S, model_client
from cxr.errors import NotFound
from cxr.storage.google.errors import google_errors

#: The dimension by which image classification is sliced: the label (ModelEvaluationSlice.Slice).
LABEL_DIMENSION = "annotationSpec"


@dataclass(frozen=True, slots=True)
class EvaluationSlice:
    """The evaluation of one value of one dimension."""

    name: str
    dimension: str
    value: str
    metrics: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One ModelEvaluation: its metrics as the service sends them (classification_metrics_1.0.0.yaml)."""

    name: str
    schema: str
    created: str
    metrics: Mapping[str, Any]
    slices: tuple[EvaluationSlice, ...]

    def as_json(self) -> dict[str, Any]:
        """All of it, in the service's own words."""
        return {
            "name": self.name,
            "metricsSchemaUri": self.schema,
            "createTime": self.created,
            "metrics": dict(self.metrics),
            "slices": [
                {
                    "name": one.name,
                    "slice": {"dimension": one.dimension, "value": one.value},
                    "metrics": dict(one.metrics),
                }
                for one in self.slices
            ],
        }


def get_evaluation(connection: Connection, model: str) -> Evaluation:
    """The newest evaluation of a model with its slices. Raises NotFound when the service has none."""
    client = model_client(connection)
    with google_errors("list the model's evaluations"):
        found = list(client.list_model_evaluations(parent=model, timeout=REQUEST_TIMEOUT_S))
    if not found:
        raise NotFound(f"the service has no evaluation of {model}", hint="it makes one when a training has a test set")
    newest = max(found, key=lambda one: one.create_time)
    with google_errors("list the evaluation's slices"):
        slices = list(client.list_model_evaluation_slices(parent=newest.name, timeout=REQUEST_TIMEOUT_S))
    return Evaluation(
        name=str(newest.name),
        schema=str(newest.metrics_schema_uri),
        created=newest.create_time.isoformat(timespec="seconds") if newest.create_time else "",
        metrics=_plain(newest.metrics),
        slices=tuple(
            EvaluationSlice(str(one.name), str(one.slice_.dimension), str(one.slice_.value), _plain(one.metrics))
            for one in slices
        ),
    )


def _plain(value: Any) -> Any:
    """The SDK's views of google.protobuf.Value as plain Python."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if value is None or isinstance(value, str | float | int | bool):
        return value
    return [_plain(inner) for inner in value]
