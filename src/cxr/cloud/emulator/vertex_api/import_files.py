"""Import files of single-label image classification, line by line.

CSV without header: `[ML_USE,]GCS_FILE_PATH[,LABEL]`; JSON Lines: `{"imageGcsUri", "classificationAnnotation":
{"displayName"}, "dataItemResourceLabels": {"aiplatform.googleapis.com/ml_use"}}`.
Source: https://cloud.google.com/vertex-ai/docs/image-data/classification/prepare-data.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from cxr.documents import parse_json

ML_USE_KEY = "aiplatform.googleapis.com/ml_use"
ML_USES = ("training", "validation", "test")
#: The annotation's display name: a letter, then letters, digits and underscores.
LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
MAX_LABEL = 128


@dataclass(frozen=True, slots=True)
class ImportRow:
    """One image of an import file. `labels` are the data item's labels (ml_use among them)."""

    uri: str
    label: str
    labels: Mapping[str, str] = field(default_factory=dict)


class RowError(Exception):
    """A line that cannot be imported; the message names the line."""


def read_rows(name: str, lines: Iterable[str]) -> Iterator[ImportRow | RowError]:
    """The rows of one import file, and a RowError for each that the service would refuse. Empty lines are skipped."""
    reader = _json_row if name.lower().endswith((".jsonl", ".json")) else _csv_row
    for number, whole in enumerate(lines, start=1):
        line = whole.removeprefix("\ufeff") if number == 1 else whole
        if not line.strip():
            continue
        try:
            yield _checked(reader(line))
        except RowError as error:
            yield RowError(f"{name}, line {number}: {error}")


def text_lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """The lines of a file that comes in pieces, without their LF or CR LF. Raises UnicodeDecodeError."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r").decode("utf-8")
    if rest:
        yield rest.decode("utf-8")


def _csv_row(line: str) -> ImportRow:
    try:
        cells = [cell.strip() for cell in next(csv.reader(io.StringIO(line), strict=True))]
    except (csv.Error, StopIteration) as error:
        raise RowError(f"not a CSV line: {error}") from None
    labels: dict[str, str] = {}
    if cells and not cells[0].startswith("gs://"):
        ml_use = cells.pop(0)
        if ml_use:
            labels[ML_USE_KEY] = ml_use
    if len(cells) > 2:
        raise RowError("more than one label: this is a single-label dataset")
    if not cells or not cells[0]:
        raise RowError("there is no gs:// path")
    return ImportRow(cells[0], cells[1] if len(cells) > 1 else "", labels)


def _json_row(line: str) -> ImportRow:
    try:
        value = parse_json(line)
    except ValueError as error:
        raise RowError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise RowError("not a JSON object")
    unknown = set(value) - {"imageGcsUri", "classificationAnnotation", "dataItemResourceLabels"}
    if unknown:
        raise RowError(f"unknown field {sorted(unknown)[0]!r}")
    annotation = value.get("classificationAnnotation") or {}
    labels = value.get("dataItemResourceLabels") or {}
    if not isinstance(annotation, dict) or set(annotation) - {"displayName", "annotationResourceLabels"}:
        raise RowError("classificationAnnotation must have a displayName and nothing unknown")
    if not isinstance(labels, dict) or not all(isinstance(text, str) for text in labels.values()):
        raise RowError("dataItemResourceLabels must be texts")
    if not isinstance(value.get("imageGcsUri"), str):
        raise RowError("imageGcsUri is missing")
    return ImportRow(value["imageGcsUri"], str(annotation.get("displayName", "")), labels)


def _checked(row: ImportRow) -> ImportRow:
    if not row.uri.startswith("gs://"):
        raise RowError(f"{row.uri!r} is not a gs:// path")
    ml_use = row.labels.get(ML_USE_KEY)
    if ml_use is not None and ml_use.lower() not in ML_USES:
        raise RowError(f"{ml_use!r} is not an ml_use (training, validation or test)")
    if row.label and (not LABEL.fullmatch(row.label) or len(row.label) > MAX_LABEL):
        raise RowError(f"label {row.label!r} must start with a letter and have only letters, digits and underscores")
    if ml_use is not None:
        return ImportRow(row.uri, row.label, {**row.labels, ML_USE_KEY: ml_use.lower()})
    return row
