"""`evaluation.json`: the evaluation for machines, under a versioned schema."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cxr.compare.evaluation.nouns import Evaluation
from cxr.compare.predictions.versions import installed_versions, machine
from cxr.compare.results.document import plain_values
from cxr.compare.statistics.bootstrap import LEVEL, METHOD
from cxr.files import write_text_atomically

SCHEMA = "cxr.baseline.evaluation"
#: Raised whenever a field changes its meaning or goes.
SCHEMA_VERSION = 1


def write_document(evaluation: Evaluation, path: Path) -> None:
    """Write evaluation.json; null where a measure is not defined."""
    document = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **evaluation_document(evaluation)}
    write_text_atomically(path, json.dumps(plain_values(document), indent=2, allow_nan=False) + "\n")


def evaluation_document(evaluation: Evaluation) -> dict[str, Any]:
    """The evaluation as plain values (NaN where a measure is not defined). Measures are in 0..1, log loss in nats, the
    latency in milliseconds."""
    bundle, info = evaluation.bundle, evaluation.bundle.info
    curve, corners = evaluation.precision_recall, evaluation.roc
    return {
        "created": evaluation.created.isoformat(timespec="seconds"),
        "research_use_only": True,
        "bundle": {
            "name": info.name,
            "folder": str(bundle.folder),
            "hash": bundle.hash,
            "origin": info.origin.value,
            "format": info.format.value,
            "stand_in": info.stand_in,
        },
        "manifest": {"hash": evaluation.manifest.hash, "patient_key": evaluation.manifest.header.patient_key},
        "split": evaluation.split,
        "images": evaluation.images,
        "patients": evaluation.patients,
        "classes": list(evaluation.classes),
        "positive_class": evaluation.positive_class,
        "threshold": info.threshold.value,
        "threshold_chosen": {"by": info.threshold.chosen_by, "on": info.threshold.chosen_on},
        "calibration": asdict(info.calibration) if info.calibration else None,
        "intervals": {
            "method": METHOD,
            "level": LEVEL,
            "draws": evaluation.draws.count,
            "seed": evaluation.draws.seed,
        },
        "metrics": {name: asdict(estimate) for name, estimate in evaluation.metrics.items()},
        "confusion": evaluation.confusion.tolist(),
        "per_class": [asdict(report) for report in evaluation.reports],
        "per_etiology": [asdict(kind) for kind in evaluation.etiologies],
        "operating_points": [asdict(point) for point in evaluation.points],
        "shifts": [asdict(shift) for shift in evaluation.shifts],
        "calibrated": asdict(evaluation.calibrated),
        "uncalibrated": asdict(evaluation.uncalibrated) if evaluation.uncalibrated else None,
        "roc": {
            "false_positive_rate": corners.false_positive_rate.tolist(),
            "true_positive_rate": corners.true_positive_rate.tolist(),
        },
        "precision_recall": {"recall": curve.recall.tolist(), "precision": curve.precision.tolist()},
        "latency_ms": evaluation.predictions.header.latency_ms,
        "notes": list(evaluation.notes),
        "versions": installed_versions(),
        "machine": machine(),
    }
