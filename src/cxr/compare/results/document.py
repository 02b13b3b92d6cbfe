"""`results.json`: the comparison for machines, under a versioned schema."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cxr.compare.mistakes import Mistake, ModelMistakes
from cxr.compare.nouns import Comparison, JudgedPoint, Row
from cxr.compare.report.words import p_value_of
from cxr.compare.statistics.against_reference import AgainstReference, ReferenceComparison
from cxr.compare.statistics.bootstrap import LEVEL, METHOD
from cxr.compare.statistics.differences import Difference
from cxr.compare.statistics.measures import WHOLE
from cxr.compare.statistics.shown_tests import title_of
from cxr.compare.subgroups.judge import GroupResult
from cxr.files import write_text_atomically

SCHEMA = "cxr.comparison"
#: Raised whenever a field changes its meaning or goes.
SCHEMA_VERSION = 2


def write_results(comparison: Comparison, path: Path) -> None:
    """Write results.json. Measures are in 0..1 (null where one is not defined), sizes in bytes, times in
    milliseconds."""
    write_text_atomically(path, json.dumps(results(comparison), indent=2, allow_nan=False) + "\n")


def results(comparison: Comparison) -> dict[str, Any]:
    """The comparison as plain JSON values."""
    provenance = comparison.provenance
    mistakes = {each.name: each for each in comparison.mistakes}
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
            "method": METHOD,
            "level": comparison.level,
            "draws": comparison.draws.count,
            "seed": comparison.draws.seed,
        },
        "prevalence": comparison.prevalence,
        "oracle_sensitivity": comparison.oracle_sensitivity,
        "rows": [_row(row, mistakes.get(row.name) if row.bundle else None) for row in comparison.rows],
        "reference": _reference(comparison.against) if comparison.against else None,
        "overlap": asdict(comparison.overlap) if comparison.overlap else None,
        "notes": list(comparison.notes),
        "provenance": {
            "command": provenance.command,
            "versions": dict(provenance.versions),
            "machine": provenance.machine,
        },
    }
    plain: dict[str, Any] = plain_values(document)
    return plain


def _row(row: Row, mistakes: ModelMistakes | None) -> dict[str, Any]:
    bundle = row.bundle
    return {
        "name": row.name,
        "kind": row.kind.value,
        "trained_by": row.trained_by,
        "stand_in": row.stand_in,
        "metrics": {name: asdict(estimate) for name, estimate in row.metrics.items()},
        "confusion": row.confusion.tolist(),
        "operating_points": [_point(point) for point in row.points],
        "per_class": [asdict(report) for report in row.per_class],
        "recall_of_kinds": {kind: asdict(estimate) for kind, estimate in row.kinds.items()},
        "threshold": asdict(row.threshold) if row.threshold else None,
        "model_size_bytes": row.model_size_bytes,
        "latency_ms": row.latency_ms,
        "latency_includes_decoding": row.latency_includes_decoding,
        "decoding_ms": row.decoding_ms,
        "effort": asdict(row.effort) if row.effort else None,
        "deployments": [asdict(deployment) for deployment in row.deployments],
        "floors_not_cleared": list(row.floors_not_cleared),
        "subgroups": [_group(result) for result in row.groups],
        "worst_subgroup": row.worst_group.group.name if row.worst_group else None,
        "surest_mistakes": [_mistake(each) for each in mistakes.shown] if mistakes else [],
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


def _group(result: GroupResult) -> dict[str, Any]:
    return {
        "family": result.group.family,
        "name": result.group.name,
        "completed_with_all_others": result.group.completed,
        "positives": result.positives,
        "negatives": result.negatives,
        "patients": result.patients,
        "positive_patients": result.positive_patients,
        "negative_patients": result.negative_patients,
        "judged": result.is_judged,
        **{name: asdict(getattr(result, name)) for name in ("auc", "sensitivity", "specificity", "difference")},
    }


def _mistake(mistake: Mistake) -> dict[str, Any]:
    return {name: getattr(mistake, name) for name in ("path", "truth", "called", "probability")}


def _point(point: JudgedPoint) -> dict[str, Any]:
    return {
        "name": point.name.value,
        "threshold": point.threshold,
        "chosen_on_these_images": point.is_oracle,
        "metrics": {name: asdict(estimate) for name, estimate in point.metrics.items()},
        "proportions": {name: asdict(proportion) for name, proportion in point.proportions.items()},
    }


def _reference(against: ReferenceComparison) -> dict[str, Any]:
    return {
        "model": against.name,
        "chosen_as": against.reason,
        "stand_in": against.stand_in,
        "measure": against.measure,
        "margin": against.margin,
        "verdicts_by": {
            "intervals": "those of the differences, Bonferroni over the models",
            "level_of_each": against.joint_level,
            "level_together": LEVEL,
        },
        "models": [_against(model, against) for model in against.models],
    }


def _against(model: AgainstReference, against: ReferenceComparison) -> dict[str, Any]:
    """Differences are model less reference: `differences` at the bundle's own threshold, `differences_of` those of
    classes, kinds of image and other operating points. Every p-value stands beside the name of its test; `shown` is the
    one that table and report show."""

    def tested(test: str) -> dict[str, Any]:
        return {**asdict(model.tests[test]), "test": title_of(test, clustered=against.clustered)}

    of_others: dict[str, dict[str, Any]] = {}
    for (measure, of), difference in model.differences.items():
        if of != WHOLE:
            of_others.setdefault(of.removeprefix("@"), {})[measure] = _difference(difference)
    return {
        "model": model.name,
        "verdict": model.verdict.value,
        "verdict_alone": model.verdict_alone.value,
        "unfounded": model.unfounded or None,
        "joint": {"level": against.joint_level, "low": model.joint.low, "high": model.joint.high},
        "shown": {
            "measure": against.measure,
            "test": against.p_value_by,
            "p_holm": p_value_of(model, against.measure),
        },
        "differences": {measure: _difference(each) for (measure, of), each in model.differences.items() if of == WHOLE},
        "differences_of": of_others,
        "delong": {**asdict(model.delong), **tested("delong")},
        "delong_patients": {**asdict(model.delong_patients), **tested("delong_patients")},
        "mcnemar": {of: {**asdict(counts), **tested(f"mcnemar_{of}")} for of, counts in model.mcnemar.items()},
        "mcnemar_patients": {
            of: {**asdict(counts), **tested(f"mcnemar_patients_{of}")} for of, counts in model.mcnemar_patients.items()
        },
    }


def _difference(difference: Difference) -> dict[str, Any]:
    return {**asdict(difference), "test": title_of(None)}


def plain_values(value: Any) -> Any:
    """The value with null for NaN and infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {key: plain_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_values(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
