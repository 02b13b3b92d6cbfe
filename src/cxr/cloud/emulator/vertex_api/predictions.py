"""What batch and online prediction have in common: parameters, instances, and scores as the service writes them.

Source: ImageClassificationPredictionParams, ImageClassificationPredictionInstance and ClassificationPredictionResult of
google.cloud.aiplatform.v1.schema.predict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cxr.cloud.emulator.errors import invalid_argument
from cxr.cloud.emulator.vertex_api.messages import JsonObject

MIME_TYPES = (
    "image/jpeg",
    "image/gif",
    "image/png",
    "image/webp",
    "image/bmp",
    "image/tiff",
    "image/vnd.microsoft.icon",
)
DEFAULT_MAX_PREDICTIONS = 10


@dataclass(frozen=True, slots=True)
class PredictionParameters:
    """Which labels of an image are returned: at least so confident, and at most so many."""

    confidence_threshold: float = 0.0
    max_predictions: int = DEFAULT_MAX_PREDICTIONS


def prediction_parameters(value: Any, *, field: str) -> PredictionParameters:
    """The parameters of a request (None: the defaults). Raises 400 for an unknown one or one out of its range."""
    if value in (None, {}):
        return PredictionParameters()
    if not isinstance(value, Mapping):
        raise invalid_argument("The parameters are not an object.", field=field)
    unknown = sorted(set(value) - {"confidenceThreshold", "maxPredictions"})
    if unknown:
        raise invalid_argument(f"Unknown prediction parameter {unknown[0]!r}.", field=field)
    threshold, most = value.get("confidenceThreshold", 0.0), value.get("maxPredictions", DEFAULT_MAX_PREDICTIONS)
    if not _is_number(threshold) or not 0 <= threshold <= 1:
        raise invalid_argument(f"confidenceThreshold {threshold!r} is not between 0 and 1.", field=field)
    if not _is_number(most) or most < 1 or most != int(most):
        raise invalid_argument(f"maxPredictions {most!r} is not a whole number of at least 1.", field=field)
    return PredictionParameters(float(threshold), int(most))


def check_instance(instance: Any) -> tuple[str, str]:
    """An instance's content and MIME type (may be empty). Raises ValueError."""
    if not isinstance(instance, Mapping):
        raise ValueError("not an object")
    unknown = sorted(set(instance) - {"content", "mimeType"})
    if unknown:
        raise ValueError(f"unknown field {unknown[0]!r}")
    content, mime_type = instance.get("content"), instance.get("mimeType", "")
    if not isinstance(content, str) or not content:
        raise ValueError("content is missing")
    if mime_type and mime_type not in MIME_TYPES:
        raise ValueError(f"MIME type {mime_type!r} is not supported")
    return content, mime_type


def prediction(
    specs: Sequence[Mapping[str, str]], scores: Sequence[float], parameters: PredictionParameters
) -> JsonObject:
    """The labels of one image, the most confident first; `specs` and `scores` are in the same order."""
    ranked = sorted(zip(scores, specs, strict=True), key=lambda pair: -pair[0])
    chosen = [pair for pair in ranked if pair[0] >= parameters.confidence_threshold][: parameters.max_predictions]
    return {
        "ids": [spec["id"] for _, spec in chosen],
        "displayNames": [spec["displayName"] for _, spec in chosen],
        "confidences": [score for score, _ in chosen],
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
