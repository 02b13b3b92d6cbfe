"""The service's evaluation as files: the raw answer, the curve, the confusion matrix, the slices."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr.cloud.vertex.evaluations import LABEL_DIMENSION, Evaluation
from cxr.documents import parse_json
from cxr.errors import CheckFailed, UsageError
from cxr.files import atomic_path
from cxr.folders import check_writable
from cxr.spreadsheets import spreadsheet_text

RAW_FILE, CURVE_FILE, CONFUSION_FILE, SLICES_FILE = "evaluation.json", "metrics.csv", "confusion.csv", "slices.csv"
#: The threshold whose row is shown: the service's default.
SHOWN_THRESHOLD = 0.5
NOTE = (
    "the service's own figures, on the test items that it kept, at thresholds of its own; they stand beside no figures "
    "of other models. One ruler for all: cxr compare"
)
STAND_IN_NOTE = "these are figures of the emulator's stand-in, not of Google's AutoML"

Table = list[list[Any]]


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Precision, recall and F1 (0..1) where a confidence of at least `threshold` counts."""

    threshold: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Confusion:
    """Test items by truth (rows) and by the label the service gave (columns), in the order of `labels`."""

    labels: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]


def curve(metrics: Mapping[str, Any]) -> list[CurvePoint]:
    """The precision-recall curve, by rising threshold. The service leaves zeros out, a threshold of 0 among them."""
    points = []
    for one in _tables(metrics.get("confidenceMetrics"), "confidenceMetrics"):
        precision, recall = _number(one.get("precision", 0)), _number(one.get("recall", 0))
        f1 = one.get("f1Score")
        if f1 is None:
            f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        points.append(CurvePoint(_number(one.get("confidenceThreshold", 0)), precision, recall, _number(f1)))
    return sorted(points, key=lambda point: point.threshold)


def shown_point(points: Sequence[CurvePoint]) -> CurvePoint | None:
    """The point of the service's default threshold: the first that is not below it."""
    return next((point for point in points if point.threshold >= SHOWN_THRESHOLD), points[-1] if points else None)


def confusion(metrics: Mapping[str, Any]) -> Confusion:
    """The confusion matrix (empty when the service sent none). Raises CheckFailed for one that does not fit its
    labels."""
    (matrix,) = _tables([metrics.get("confusionMatrix") or {}], "confusionMatrix")
    specs = _tables(matrix.get("annotationSpecs"), "annotationSpecs")
    labels = tuple(str(one.get("displayName", one.get("id", ""))) for one in specs)
    rows = tuple(tuple(_count(count) for count in _counts(row)) for row in _list(matrix.get("rows"), "rows"))
    if rows and not len(rows) == len(labels) == min(map(len, rows)) == max(map(len, rows)):
        raise CheckFailed(
            f"the service's confusion matrix has {len(rows)} rows of {', '.join(str(len(row)) for row in rows)} counts "
            f"for {len(labels)} labels"
        )
    return Confusion(labels, rows)


def label_slices(evaluation: Evaluation) -> list[dict[str, Any]]:
    """One dictionary a label: label, auPrc, auRoc, logLoss, and precision, recall, f1 at the service's threshold. None
    for what was not sent."""
    found = []
    for one in evaluation.slices:
        if one.dimension != LABEL_DIMENSION:
            continue
        point = shown_point(curve(one.metrics))
        found.append(
            {
                "label": one.value,
                **{name: one.metrics.get(name) for name in ("auPrc", "auRoc", "logLoss")},
                "threshold": point.threshold if point else None,
                "precision": point.precision if point else None,
                "recall": point.recall if point else None,
                "f1": point.f1 if point else None,
            }
        )
    return sorted(found, key=lambda row: str(row["label"]))


def write_evaluation(evaluation: Evaluation, folder: Path, *, about: Mapping[str, Any]) -> list[Path]:
    """Write evaluation.json (with `about` beside the service's words), metrics.csv, confusion.csv and slices.csv."""
    matrix = confusion(evaluation.metrics)
    slices = label_slices(evaluation)
    columns = list(slices[0]) if slices else ["label", "auPrc", "auRoc"]
    tables: dict[str, Table] = {
        CURVE_FILE: [
            ["threshold", "precision", "recall", "f1"],
            *([point.threshold, point.precision, point.recall, point.f1] for point in curve(evaluation.metrics)),
        ],
        CONFUSION_FILE: [
            ["truth", *matrix.labels],
            *([label, *row] for label, row in zip(matrix.labels if matrix.rows else (), matrix.rows, strict=True)),
        ],
        SLICES_FILE: [columns, *([one[column] for column in columns] for one in slices)],
    }
    document = {**about, "evaluation": evaluation.as_json()}
    texts = {name: _csv(rows) for name, rows in tables.items()} | {RAW_FILE: json.dumps(document, indent=2) + "\n"}
    with ExitStack() as written:
        # All four are written before the first takes its name, and the one that names the job takes it first.
        for name, text in texts.items():
            written.enter_context(atomic_path(folder / name)).write_text(text, encoding="utf-8")
    return [folder / name for name in (RAW_FILE, *tables)]


def check_figures_place(folder: Path, job_id: str) -> None:
    """Raises UsageError for a folder that holds something and not the figures of the same job, which are replaced."""
    check_writable(folder)
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    try:
        there = parse_json((folder / RAW_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        there = None
    if not isinstance(there, dict) or there.get("job") != job_id:
        raise UsageError(
            f"{folder} is not empty and holds no evaluation of {job_id}", hint="choose another folder with --out"
        )


def _tables(value: Any, name: str) -> Sequence[Mapping[str, Any]]:
    found = _list(value, name)
    if not all(isinstance(one, Mapping) for one in found):
        raise CheckFailed(f"the service's evaluation has {name} that are none")
    return found


def _list(value: Any, name: str) -> Sequence[Any]:
    if value is not None and not isinstance(value, list | tuple):
        raise CheckFailed(f"the service's evaluation has {name} that are none")
    return value or ()


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise CheckFailed(f"the service's evaluation has {value!r} where a number belongs") from None


def _count(value: Any) -> int:
    number = _number(value)
    if not math.isfinite(number):
        raise CheckFailed(f"the service's evaluation counts {value!r} items")
    return round(number)


def _counts(row: Any) -> Sequence[Any]:
    return _list(row.get("dataItemCounts", []) if isinstance(row, Mapping) else row, "rows")


def _csv(rows: Table) -> str:
    stream = io.StringIO()
    cells = ([spreadsheet_text(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    csv.writer(stream, lineterminator="\n").writerows(cells)
    return stream.getvalue()
