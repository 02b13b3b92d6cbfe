"""The row of an import file, and what a format must be able to do with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from cxr.errors import InputError
from cxr.manifests.labels import LabelMapping


@dataclass(frozen=True, slots=True)
class ImportRow:
    """One image to import: its split, its `uri` (gs://…, s3://…, or relative to the images' URL where the format wants
    that), the label as the service spells it, and its number among all rows of the import, from 0."""

    split: str
    uri: str
    label: str
    number: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Context:
    """What all rows of an import share. `job_name` and `created` (ISO 8601) are the same for the same manifest."""

    labels: LabelMapping
    job_name: str
    created: str


class Format(Protocol):
    """One import format. `per_split`: a split is a file of its own. `max_bytes`: what a file may have by the service's
    documents, or by our choice; None where the service reads a single file, which must not be divided."""

    @property
    def scheme(self) -> str:
        """`gs://` or `s3://`."""

    @property
    def suffix(self) -> str:
        """Of the files."""

    @property
    def per_split(self) -> bool:
        """Whether a split is a file of its own."""

    @property
    def relative(self) -> bool:
        """Whether rows name images relative to the images' URL."""

    @property
    def max_bytes(self) -> int | None:
        """The largest file, in bytes."""

    def spell(self, labels: Iterable[str], *, as_is: bool) -> LabelMapping:
        """How the service gets to see the labels. Raises InputError when it refuses one as it is."""

    def lines(self, rows: Iterable[ImportRow], context: Context) -> Iterator[str]:
        """The rows as lines with their LF."""

    def read(self, lines: Iterable[str], split: str, context: Context) -> Iterator[ImportRow]:
        """The rows of a file (of `split`, where the file does not say it). Raises InputError naming the line that is
        no row."""


def not_a_row(number: int, wanted: str, found: str) -> InputError:
    """The error for a line (counted from 1) that is no row."""
    return InputError(f"line {number} of the import file is not {wanted}: {found.rstrip()[:100]}")
