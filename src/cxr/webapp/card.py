"""The model card and the figures that the page shows, from the bundle and its evaluation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from cxr.bundle import Bundle, Origin
from cxr.webapp.page import Card, Figure, Metrics, Rows

#: Measures of evaluation.json that the page shows: key -> name, and whether it is a share of images.
SHOWN: Mapping[str, tuple[str, bool]] = {
    "auc": ("AUC", False),
    "accuracy": ("Accuracy", True),
    "sensitivity": ("Sensitivity", True),
    "specificity": ("Specificity", True),
    "f1": ("F1", True),
}
ORIGINS = {
    Origin.BASELINE: "on one machine, by cxr baseline train",
    Origin.CUSTOM_JOB: "by a training job in the cloud",
    Origin.AUTOML: "by an AutoML service",
    Origin.IMPORTED: "by another program; imported",
}
STAND_IN = "by the emulator's stand-in for an AutoML service: it shows that the way works, no more"


def model_card(source: Bundle, training_images: int | None, model_bytes: int, built_by: str) -> Card:
    """The card of a bundle. What is not known (None) is left out."""
    info, contract, provenance = source.info, source.info.preprocessing, source.info.provenance
    trained = STAND_IN if info.stand_in else ORIGINS[info.origin]
    colour = "grey" if contract.channels == 1 else "colour"
    point = info.threshold
    chosen = f"{point.chosen_by}, chosen on {point.chosen_on}"
    about = {
        "Trained": trained,
        "Recipe": provenance.get("recipe"),
        "Parameters": _count(provenance.get("parameters")),
        "Input": f"{contract.width} × {contract.height} pixels, {colour}, aspect: {contract.aspect}",
        "Classes": ", ".join(info.classes),
        "Decision": f"{info.positive_class} from a probability of {point.value:.3f} on: {chosen}",
        "Calibration": f"temperature {info.calibration.temperature:.3f}" if info.calibration else None,
    }
    data = {
        "Training and validation images": _count(training_images),
        "Manifest": info.manifest_hash[:16] if info.manifest_hash else None,
        "Split": "by patient: no patient is in two of training, validation and test" if info.manifest_hash else None,
    }
    build = {"Bundle": source.hash[:16], "Model": f"{model_bytes:,} bytes", "Made by": built_by}
    summary = f"{info.name} tells {_one_of(info.classes)} apart on frontal chest X-rays."
    return Card(summary, _rows(about), _rows(data), _rows(build))


def metrics_of(document: Mapping[str, Any]) -> Metrics:
    """What of an evaluation.json the page shows. Measures that are not defined there are left out."""
    figures = []
    for key, (name, share) in SHOWN.items():
        estimate = document["metrics"].get(key)
        if estimate is None or not _is_number(estimate["value"]):
            continue
        low, high = (estimate[edge] if _is_number(estimate[edge]) else None for edge in ("low", "high"))
        figures.append(Figure(name, estimate["value"], low, high, share))
    images, patients, split = document["images"], document["patients"], document["split"]
    return Metrics(f"On the {split} split: {images:,} images of {patients:,} patients.", tuple(figures))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _rows(values: Mapping[str, str | None]) -> Rows:
    return tuple((name, value) for name, value in values.items() if value)


def _count(value: object) -> str | None:
    return f"{value:,}" if isinstance(value, int) else None


def _one_of(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
