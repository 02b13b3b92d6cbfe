"""The inputs of AutoML image classification: model types, budgets, regions, as data with their source.

Source: automl_image_classification_1.0.0.yaml (AutoMlImageClassificationInputs),
https://cloud.google.com/vertex-ai/docs/general/locations and
https://cloud.google.com/vertex-ai/docs/export/export-edge-model (2026-10).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cxr.cloud.emulator.errors import invalid_argument, unimplemented

TASK = "gs://google-cloud-aiplatform/schema/trainingjob/definition/automl_image_classification_1.0.0.yaml"
TASKS = "gs://google-cloud-aiplatform/schema/trainingjob/definition/"
REGIONS = ("us-central1", "europe-west4")
#: The service has core-ml as well. It needs Apple's converter, which is not part of this project: not offered here.
EXPORT_FORMATS = ("tflite", "edgetpu-tflite", "tf-saved-model", "tf-js")
DEFAULT_MODEL_TYPE = "CLOUD"
_KNOWN = {
    "modelType",
    "budgetMilliNodeHours",
    "multiLabel",
    "disableEarlyStopping",
    "baseModelId",
    "uptrainBaseModelId",
    "tunableParameter",
}
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelType:
    """A kind of AutoML model: its budget's limits and default in milli node hours, what it can be exported as, and
    whether the service itself predicts with it. A mobile model is only exported, a cloud model only served."""

    least: int
    most: int
    default: int
    export_formats: tuple[str, ...]
    is_served: bool


_CLOUD = ModelType(8_000, 800_000, 192_000, (), is_served=True)
_MOBILE = ModelType(1_000, 100_000, 24_000, EXPORT_FORMATS, is_served=False)
MODEL_TYPES = {
    "CLOUD": _CLOUD,
    "CLOUD_1": _CLOUD,
    "MOBILE_TF_LOW_LATENCY_1": _MOBILE,
    "MOBILE_TF_VERSATILE_1": _MOBILE,
    "MOBILE_TF_HIGH_ACCURACY_1": _MOBILE,
}


@dataclass(frozen=True, slots=True)
class AutoMLInputs:
    """Checked inputs of one training."""

    model_type: str
    budget_milli_node_hours: int

    @property
    def export_formats(self) -> tuple[str, ...]:
        """What a model of this type can be exported as."""
        return MODEL_TYPES[self.model_type].export_formats

    @property
    def is_served(self) -> bool:
        """Whether the service itself predicts with a model of this type."""
        return MODEL_TYPES[self.model_type].is_served


def check_task(definition: str, region: str) -> None:
    """Raise 400 for a task or region that the service does not have, 501 for a task that only it has."""
    if definition != TASK:
        if definition.startswith(TASKS):
            raise unimplemented(f"trainingPipelines of the task {definition}")
        raise invalid_argument(
            f"Unsupported training task definition {definition!r}.", field="training_task_definition"
        )
    if region not in REGIONS:
        raise invalid_argument(
            f"AutoML image training is not available in {region}; it is in {' and '.join(REGIONS)}.", field="parent"
        )


def check_inputs(inputs: Any) -> AutoMLInputs:
    """The task inputs, checked. An empty budget means the service's default, is honoured as such and logged.

    Raises 400 INVALID_ARGUMENT, or 501 for multi-label and incremental training.
    """
    if not isinstance(inputs, Mapping):
        raise invalid_argument("Required field is not set: training_task_inputs.", field="training_task_inputs")
    unknown = sorted(set(inputs) - _KNOWN)
    if unknown:
        raise invalid_argument(f"Unknown training task input {unknown[0]!r}.", field="training_task_inputs")
    for key in ("baseModelId", "uptrainBaseModelId", "tunableParameter", "multiLabel"):
        if inputs.get(key):
            raise unimplemented(f"AutoML image training with {key}")
    name = inputs.get("modelType") or DEFAULT_MODEL_TYPE
    model_type = MODEL_TYPES.get(name) if isinstance(name, str) else None
    if model_type is None:
        raise invalid_argument(
            f"Unsupported model type {name!r}; the types are {', '.join(MODEL_TYPES)}.",
            field="training_task_inputs.model_type",
        )
    given = _whole_number(inputs.get("budgetMilliNodeHours"))
    if given is None:
        log.warning(
            "no budget was given: the service's default of %s milli node hours applies", f"{model_type.default:,}"
        )
    elif not model_type.least <= given <= model_type.most:
        raise invalid_argument(
            f"The budget of {given:,} milli node hours is outside of {model_type.least:,} to {model_type.most:,} "
            f"for {name}.",
            field="training_task_inputs.budget_milli_node_hours",
        )
    budget = model_type.default if given is None else given
    return AutoMLInputs(str(name), budget)


def _whole_number(value: Any) -> int | None:
    # JSON writes 64-bit numbers as texts, google.protobuf.Value as doubles; zero is "not set" in both.
    if not isinstance(value, bool) and value in (None, "", 0, "0"):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = 0.5
    if isinstance(value, bool) or not number.is_integer():
        raise invalid_argument(
            f"Invalid budget {value!r}: a whole number of milli node hours is needed.",
            field="training_task_inputs.budget_milli_node_hours",
        )
    return int(number)
