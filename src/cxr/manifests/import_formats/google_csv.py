"""Google's CSV without a header, `ml_use,gs://…,label`, in the words of Vertex AI or of legacy AutoML Vision.

Vertex AI: https://cloud.google.com/vertex-ai/docs/image-data/classification/prepare-data. AutoML Vision:
https://cloud.google.com/vision/automl/docs/prepare.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from cxr.errors import InputError
from cxr.manifests.import_formats.rows import Context, ImportRow, not_a_row
from cxr.manifests.labels import AUTOML_MAX_LABEL, VERTEX_MAX_LABEL, LabelMapping, is_legal_label, legal_label

#: "Any input .CSV file by itself must be 100MB or smaller" (`InputConfig` of the AutoML API). Vertex AI's documents
#: name no limit; there it is ours.
MAX_BYTES: Final = 100_000_000
#: Split -> ml_use.
VERTEX_ML_USES: Final = {"train": "training", "validation": "validation", "test": "test"}
AUTOML_ML_USES: Final = {"train": "TRAIN", "validation": "VALIDATION", "test": "TEST"}


@dataclass(frozen=True, slots=True)
class GoogleCsv:
    """The CSV of one of Google's services. An image without a split is not in it: legacy AutoML would divide
    UNASSIGNED rows at random."""

    ml_uses: Mapping[str, str]
    max_label: int
    scheme: str = "gs://"
    suffix: str = ".csv"
    per_split: bool = False
    relative: bool = False
    max_bytes: int | None = MAX_BYTES

    def spell(self, labels: Iterable[str], *, as_is: bool) -> LabelMapping:
        """Legal spellings, or the labels themselves if all are legal."""
        return google_spellings(labels, self.max_label, as_is=as_is)

    def lines(self, rows: Iterable[ImportRow], context: Context) -> Iterator[str]:
        """`ml_use,uri,label`, quoted where needed."""
        del context
        line = _Line()
        writer = csv.writer(line, lineterminator="\n")
        for row in rows:
            writer.writerow((self.ml_uses[row.split], row.uri, row.label))
            yield line.text

    def read(self, lines: Iterable[str], split: str, context: Context) -> Iterator[ImportRow]:
        """The rows of a CSV; the ml_use tells the split."""
        del split, context
        splits = {ml_use: split for split, ml_use in self.ml_uses.items()}
        reader = csv.reader(lines, strict=True)
        number = 0
        try:
            for fields in reader:
                number += 1
                if len(fields) != 3 or fields[0] not in splits or not fields[1].startswith(self.scheme):
                    raise not_a_row(number, "`ml_use,gs://…,label`", ",".join(fields))
                yield ImportRow(splits[fields[0]], fields[1], fields[2])
        except csv.Error as error:
            raise InputError(f"line {number + 1} of the import file is not CSV: {error}") from error


class _Line:
    """A stream that holds the last line: csv.writer calls `write` once a row."""

    text = ""

    def write(self, text: str) -> None:
        self.text = text


def google_spellings(labels: Iterable[str], max_length: int, *, as_is: bool) -> LabelMapping:
    """The labels in legal spellings, or as they are. Raises InputError when one is not legal as it is."""
    if not as_is:
        return LabelMapping.legal(labels, max_length)
    mapping = LabelMapping.as_is(labels)
    for label in mapping.spellings:
        if not is_legal_label(label, max_length):
            raise InputError(
                f"Google refuses the label {label!r}: a letter first, then letters, digits and underscores, at most "
                f"{max_length} in all",
                hint=f"rename the folder to {legal_label(label, max_length)!r} and scan again, or let it be spelled "
                "so in the import files alone: cxr data import-file --labels legal",
            )
    return mapping


VERTEX_CSV: Final = GoogleCsv(VERTEX_ML_USES, VERTEX_MAX_LABEL)
AUTOML_VISION_CSV: Final = GoogleCsv(AUTOML_ML_USES, AUTOML_MAX_LABEL)
