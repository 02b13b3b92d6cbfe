"""`results.json`: the comparison for machines, under a versioned schema."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cxr.compare.nouns import Comparison, Row
from cxr.files import write_text_atomically

SCHEMA = "cxr.comparison"
#: Raised whenever a field changes its meaning or goes.
SCHEMA_VERSION = 1


def write_results(comparison: Comparison, path: Path) -> None:
    """Write results.json. Measures are in 0..1 (null where one is not defined), sizes in bytes, times in
    milliseconds."""
    write_text_atomically(path, json.dumps(results(comparison), indent=2, allow_nan=False) + "\n")


def results(comparison: Comparison) -> dict[str, Any]:
    """The comparison as plain JSON values."""
    provenance = comparison.provenance
    document = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "created": provenance.created.isoformat(timespec="seconds"),
        "research_use_only": True,
        "manifest": {
            "hash": comparison.manifest.hash,
            "path": str(comparison.manifest.location) if comparison.manifest.location else None,
            "patient_key": comparison.test_set.patient_key,
            "split_policy": asdict(comparison.test_set.policy),
            "splits": [asdict(count) for count in comparison.test_set.counts],
        },
        "split": comparison.test_set.split,
        "images": comparison.test_set.images,
        "patients": comparison.test_set.patients,
        "unknown_patients": comparison.test_set.unknown_patients,
        "classes": list(comparison.classes),
        "positive_class": comparison.positive_class,
        "intervals": {
            "method": "patient-cluster bootstrap, percentile",
            "level": comparison.level,
            "draws": comparison.draws.count,
            "seed": comparison.draws.seed,
        },
        "rows": [_row(row) for row in comparison.rows],
        "provenance": {
            "command": provenance.command,
            "versions": dict(provenance.versions),
            "machine": provenance.machine,
        },
    }
    plain: dict[str, Any] = plain_values(document)
    return plain


def _row(row: Row) -> dict[str, Any]:
    bundle = row.bundle
    return {
        "name": row.name,
        "kind": row.kind.value,
        "trained_by": row.trained_by,
        "stand_in": row.stand_in,
        "metrics": {name: asdict(estimate) for name, estimate in row.metrics.items()},
        "confusion": row.confusion.tolist(),
        "threshold": asdict(row.threshold) if row.threshold else None,
        "model_size_bytes": row.model_size_bytes,
        "latency_ms": row.latency_ms,
        "roc": {
            "false_positive_rate": [round(float(rate), 6) for rate in row.roc.false_positive_rate],
            "true_positive_rate": [round(float(rate), 6) for rate in row.roc.true_positive_rate],
        },
        "bundle": {
            "hash": bundle.hash,
            "folder": str(bundle.folder),
            "origin": bundle.info.origin.value,
            "format": bundle.info.format.value,
            "provenance": dict(bundle.info.provenance),
        }
        if bundle
        else None,
        "predictions_sha256": row.predictions.header.rows_sha256 if row.predictions else None,
    }


def plain_values(value: Any) -> Any:
    """The value with null for NaN and infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {key: plain_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_values(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
