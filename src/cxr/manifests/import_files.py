"""Vertex AI import files (single-label image classification), with ml_use from the manifest's splits.

CSV rows are `ml_use,gs://…,label` without a header. JSONL lines follow the schema
gs://google-cloud-aiplatform/schema/dataset/ioformat/image_classification_single_label_io_format_1.0.0.yaml.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from cxr.errors import Fault, InputError, UsageError
from cxr.files import write_text_atomically
from cxr.manifests.labels import is_legal_label, legal_label
from cxr.manifests.manifest import Manifest

#: Split -> ml_use.
ML_USES: Final = {"train": "training", "validation": "validation", "test": "test"}
ML_USE_KEY: Final = "aiplatform.googleapis.com/ml_use"


class ImportFormat(StrEnum):
    """The two formats that Vertex AI imports."""

    CSV = "csv"
    JSONL = "jsonl"


@dataclass(frozen=True, slots=True)
class ImportRow:
    """One image to import: `ml_use` is training, validation or test; `uri` is gs://…"""

    ml_use: str
    uri: str
    label: str


def import_rows(manifest: Manifest, images_url: str) -> list[ImportRow]:
    """The rows of an import file, in the order of their paths; images without a split are left out.

    `images_url` is where the manifest's root lies: gs://BUCKET/PREFIX/images.
    Raises UsageError for another kind of URL, InputError for a label that Vertex AI refuses or when no image has a
    split.
    """
    base = _checked_url(images_url)
    used = manifest.frame[manifest.frame["split"] != ""]
    if used.empty:
        raise InputError("no image of the manifest is in a split", hint="make a split: cxr data split")
    for label in sorted(set(used["label"])):
        if not is_legal_label(label):
            raise InputError(
                f"Vertex AI refuses the label {label!r}: a letter first, then letters, digits and underscores",
                hint=f"rename the folder to {legal_label(label)!r} and scan again: cxr data scan DIR",
            )
    return [
        ImportRow(ML_USES[split], f"{base}/{path}", label)
        for split, path, label in zip(used["split"], used["path"], used["label"], strict=True)
    ]


def import_text(manifest: Manifest, images_url: str, format: ImportFormat = ImportFormat.CSV) -> str:
    """The whole import file as text (UTF-8, LF), ready to be uploaded. Raises as `import_rows` does."""
    rows = import_rows(manifest, images_url)
    return _csv_text(rows) if format is ImportFormat.CSV else _jsonl_text(rows)


def write_import_file(
    manifest: Manifest, images_url: str, path: Path, format: ImportFormat = ImportFormat.CSV
) -> list[ImportRow]:
    """Write the import file and read it back. Returns its rows.

    Raises as `import_rows` does, NotAllowed when `path` cannot be written, Fault when what lies on the disk is not
    what was written.
    """
    rows = import_rows(manifest, images_url)
    write_text_atomically(path, _csv_text(rows) if format is ImportFormat.CSV else _jsonl_text(rows))
    if parse_import_text(path.read_text(encoding="utf-8"), format) != rows:
        raise Fault(f"{path} does not read back as it was written", hint="is the disk full or failing?")
    return rows


def parse_import_text(text: str, format: ImportFormat) -> list[ImportRow]:
    """Read an import file's text. Raises InputError naming the line that is not a row."""
    if format is ImportFormat.CSV:
        return [_csv_row(number, fields) for number, fields in enumerate(csv.reader(io.StringIO(text, newline="")), 1)]
    return [_jsonl_row(number, line) for number, line in enumerate(text.split("\n"), 1) if line]


def _checked_url(images_url: str) -> str:
    bucket = images_url.removeprefix("gs://").split("/")[0]
    if not images_url.startswith("gs://") or not bucket:
        raise UsageError(
            f"{images_url!r} is not where Vertex AI reads images from", hint="--images-url gs://BUCKET/PREFIX/images"
        )
    return images_url.rstrip("/")


def _csv_text(rows: Iterable[ImportRow]) -> str:
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="\n").writerows((row.ml_use, row.uri, row.label) for row in rows)
    return stream.getvalue()


def _jsonl_text(rows: Iterable[ImportRow]) -> str:
    return "".join(
        json.dumps(
            {
                "imageGcsUri": row.uri,
                "classificationAnnotation": {"displayName": row.label},
                "dataItemResourceLabels": {ML_USE_KEY: row.ml_use},
            },
            ensure_ascii=False,
        )
        + "\n"
        for row in rows
    )


def _csv_row(number: int, fields: list[str]) -> ImportRow:
    if len(fields) != 3 or fields[0] not in ML_USES.values() or not fields[1].startswith("gs://"):
        raise InputError(f"line {number} of the import file is not `ml_use,gs://…,label`: {','.join(fields)[:100]}")
    return ImportRow(*fields)


def _jsonl_row(number: int, line: str) -> ImportRow:
    try:
        item = json.loads(line)
        return ImportRow(
            item["dataItemResourceLabels"][ML_USE_KEY],
            item["imageGcsUri"],
            item["classificationAnnotation"]["displayName"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"line {number} of the import file is not a row: {error}") from error
