"""What Amazon SageMaker's image classification reads: `.lst` files, or augmented manifests.

The algorithm reads each split from a channel of its own, and one file a channel, so a split is a file and is not
divided. Classes are numbered from 0 in the order of the sorted labels.
Sources: https://docs.aws.amazon.com/sagemaker/latest/dg/image-classification.html and, for the metadata of an augmented
manifest, https://docs.aws.amazon.com/sagemaker/latest/dg/sms-data-output.html.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from cxr.documents import parse_json
from cxr.manifests.import_formats.rows import Context, ImportRow, not_a_row
from cxr.manifests.labels import LabelMapping

#: The label's attribute in an augmented manifest: AttributeNames of the training job is ["source-ref", "class"].
ATTRIBUTE: Final = "class"
_JOB_TYPE: Final = "groundtruth/image-classification"
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,17}")


@dataclass(frozen=True, slots=True)
class SageMakerLst:
    """Tab-separated: a number that no other image has, the class, the path below the images' URL."""

    scheme: str = "s3://"
    suffix: str = ".lst"
    per_split: bool = True
    relative: bool = True
    max_bytes: int | None = None

    def spell(self, labels: Iterable[str], *, as_is: bool) -> LabelMapping:
        """Class numbers: the format has no other way."""
        del as_is
        return LabelMapping.numbered(labels)

    def lines(self, rows: Iterable[ImportRow], context: Context) -> Iterator[str]:
        """`number TAB class TAB path`. (A manifest's paths have no tabs.)"""
        del context
        for row in rows:
            yield f"{row.number}\t{row.label}\t{row.uri}\n"

    def read(self, lines: Iterable[str], split: str, context: Context) -> Iterator[ImportRow]:
        """The rows of a file of `split`; their numbers must rise."""
        known = set(context.labels.spellings.values())
        last = -1
        for line_number, line in enumerate(lines, 1):
            fields = line.removesuffix("\n").split("\t")
            if len(fields) != 3 or not _NUMBER.fullmatch(fields[0]) or fields[1] not in known or not fields[2]:
                raise not_a_row(line_number, "`number TAB class TAB path`", line)
            number = int(fields[0])
            if number <= last:
                raise not_a_row(line_number, "a row with a new number", line)
            last = number
            yield ImportRow(split, fields[2], fields[1], number)


@dataclass(frozen=True, slots=True)
class SageMakerManifest:
    """JSON Lines as Ground Truth writes them for image classification."""

    scheme: str = "s3://"
    suffix: str = ".manifest"
    per_split: bool = True
    relative: bool = False
    max_bytes: int | None = None

    def spell(self, labels: Iterable[str], *, as_is: bool) -> LabelMapping:
        """Class numbers; the metadata has the label itself as the class's name."""
        del as_is
        return LabelMapping.numbered(labels)

    def lines(self, rows: Iterable[ImportRow], context: Context) -> Iterator[str]:
        """`source-ref`, `class` and `class-metadata`."""
        # What follows the URI is one of few texts, whatever the number of rows.
        ends = {
            spelling: json.dumps(
                {ATTRIBUTE: spelling, f"{ATTRIBUTE}-metadata": _metadata(label, context)}, ensure_ascii=False
            ).removeprefix("{")
            for label, spelling in context.labels.spellings.items()
        }
        for row in rows:
            yield f'{{"source-ref": {json.dumps(row.uri, ensure_ascii=False)}, {ends[row.label]}\n'

    def read(self, lines: Iterable[str], split: str, context: Context) -> Iterator[ImportRow]:
        """The rows of a file of `split`; the class's number and name must belong together."""
        names = {spelling: label for label, spelling in context.labels.spellings.items()}
        for number, line in enumerate(lines, 1):
            try:
                item = parse_json(line)
                row = ImportRow(split, item["source-ref"], item[ATTRIBUTE])
                name, kind = (item[f"{ATTRIBUTE}-metadata"][key] for key in ("class-name", "type"))
                told = kind == _JOB_TYPE and names[row.label] == name and row.uri.startswith(self.scheme)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise not_a_row(number, f"a row ({type(error).__name__}: {error})", line) from error
            if not told:
                raise not_a_row(number, "a row with an s3:// URI, a class and its name", line)
            yield row


def _metadata(label: str, context: Context) -> dict[str, object]:
    # The documents say of the confidence: 0 where a single annotator leaves nothing to compare.
    return {
        "class-name": label,
        "confidence": 0.0,
        "type": _JOB_TYPE,
        "job-name": context.job_name,
        "human-annotated": "yes",
        "creation-date": context.created,
    }


SAGEMAKER_LST: Final = SageMakerLst()
SAGEMAKER_MANIFEST: Final = SageMakerManifest()
