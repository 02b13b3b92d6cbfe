"""Vertex AI's JSON Lines for single-label image classification.

The schema is gs://google-cloud-aiplatform/schema/dataset/ioformat/image_classification_single_label_io_format_1.0.0.yaml.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from cxr.documents import parse_json
from cxr.manifests.import_formats.google_csv import MAX_BYTES, VERTEX_ML_USES, google_spellings
from cxr.manifests.import_formats.rows import Context, ImportRow, not_a_row
from cxr.manifests.labels import VERTEX_MAX_LABEL, LabelMapping

ML_USE_KEY: Final = "aiplatform.googleapis.com/ml_use"


@dataclass(frozen=True, slots=True)
class VertexJsonl:
    """One object a line."""

    scheme: str = "gs://"
    suffix: str = ".jsonl"
    per_split: bool = False
    relative: bool = False
    max_bytes: int | None = MAX_BYTES

    def spell(self, labels: Iterable[str], *, as_is: bool) -> LabelMapping:
        """Legal spellings, or the labels themselves if all are legal."""
        return google_spellings(labels, VERTEX_MAX_LABEL, as_is=as_is)

    def lines(self, rows: Iterable[ImportRow], context: Context) -> Iterator[str]:
        """The documented keys."""
        del context
        # What follows the URI is one of few texts, whatever the number of rows.
        ends: dict[tuple[str, str], str] = {}
        for row in rows:
            end = ends.get((row.label, row.split))
            if end is None:
                rest = {
                    "classificationAnnotation": {"displayName": row.label},
                    "dataItemResourceLabels": {ML_USE_KEY: VERTEX_ML_USES[row.split]},
                }
                end = ends[row.label, row.split] = json.dumps(rest, ensure_ascii=False).removeprefix("{")
            yield f'{{"imageGcsUri": {json.dumps(row.uri, ensure_ascii=False)}, {end}\n'

    def read(self, lines: Iterable[str], split: str, context: Context) -> Iterator[ImportRow]:
        """The rows of a file; the ml_use tells the split."""
        del split, context
        splits = {ml_use: split for split, ml_use in VERTEX_ML_USES.items()}
        for number, line in enumerate(lines, 1):
            try:
                item = parse_json(line)
                ml_use = item["dataItemResourceLabels"][ML_USE_KEY]
                row = ImportRow(splits[ml_use], item["imageGcsUri"], item["classificationAnnotation"]["displayName"])
            except (ValueError, KeyError, TypeError) as error:
                raise not_a_row(number, f"a row ({type(error).__name__}: {error})", line) from error
            if not isinstance(row.uri, str) or not row.uri.startswith(self.scheme) or not isinstance(row.label, str):
                raise not_a_row(number, "a row with a gs:// URI and a label", line)
            yield row


VERTEX_JSONL: Final = VertexJsonl()
