"""What a cross-validation leaves in its folder, beside the folds' bundles and manifests."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from typing import Any

from cxr.compare.crossval.nouns import CrossValidation, FoldResult
from cxr.compare.predictions.versions import installed_versions
from cxr.compare.results.document import plain_values
from cxr.compare.statistics.bootstrap import LEVEL, METHOD
from cxr.files import write_text_atomically

DOCUMENT_FILE = "crossval.json"
TABLE_FILE = "crossval.csv"
HELD_OUT_FILE = "out-of-fold.csv"
SCHEMA = "cxr.baseline.crossvalidation"
#: Raised whenever a field changes its meaning or goes.
SCHEMA_VERSION = 1


def write_crossval(result: CrossValidation) -> None:
    """Write the held-out images, the folds as a table, and, last, everything as JSON."""
    held_out = result.held_out.drop(columns="split")
    write_text_atomically(result.folder / HELD_OUT_FILE, held_out.to_csv(index=False, lineterminator="\n"))
    write_text_atomically(result.folder / TABLE_FILE, _table(result))
    document = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **crossval_document(result)}
    text = json.dumps(plain_values(document), indent=2, allow_nan=False)
    write_text_atomically(result.folder / DOCUMENT_FILE, text + "\n")


def crossval_document(result: CrossValidation) -> dict[str, Any]:
    """The cross-validation as plain values (NaN where a measure is not defined); measures are in 0..1."""
    return {
        "research_use_only": True,
        "recipe": result.recipe,
        "manifest_hash": result.manifest.hash,
        "patient_key": result.manifest.header.patient_key,
        "seed": result.seed,
        "blocks": result.blocks,
        "classes": list(result.classes),
        "positive_class": result.positive_class,
        "folds": [_fold(fold) for fold in result.folds],
        "spread": {name: asdict(spread) for name, spread in result.spread.items()},
        "pooled": {name: asdict(estimate) for name, estimate in result.pooled.items()},
        "intervals": {
            "method": METHOD,
            "level": LEVEL,
            "draws": result.draws.count,
            "seed": result.draws.seed,
        },
        "versions": installed_versions(),
    }


def _fold(fold: FoldResult) -> dict[str, Any]:
    info = fold.bundle.info
    return {
        "fold": fold.number,
        "bundle": str(fold.bundle.folder),
        "bundle_hash": fold.bundle.hash,
        "manifest": str(fold.manifest.location),
        "manifest_hash": fold.manifest.hash,
        "images": fold.images,
        "patients": fold.patients,
        "measures": dict(fold.measures),
        "threshold": info.threshold.value,
        "temperature": info.calibration.temperature if info.calibration else None,
        "best_epoch": info.provenance.get("best_epoch"),
        "training_seconds": info.provenance.get("training_seconds"),
    }


def _table(result: CrossValidation) -> str:
    stream = io.StringIO()
    rows = [_fold(fold) for fold in result.folds]
    columns = ["fold", "images", "patients", *result.spread, "threshold", "temperature", "training_seconds", "bundle"]
    writer = csv.DictWriter(stream, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows({**row, **row["measures"]} for row in rows)
    return stream.getvalue()
