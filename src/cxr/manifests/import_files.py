"""Import files: what a service is told of the images, planned from a manifest, written, and read back.

A format is a table's row (`FORMATS`) and a file in `cxr.manifests.import_formats`. Rows are never kept: each pass makes
them anew from the manifest's columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Final

import pandas as pd

from cxr.errors import Fault, InputError, UsageError
from cxr.files import atomic_path
from cxr.manifests.import_formats.google_csv import AUTOML_VISION_CSV, VERTEX_CSV
from cxr.manifests.import_formats.rows import Context, Format, ImportRow
from cxr.manifests.import_formats.sagemaker import SAGEMAKER_LST, SAGEMAKER_MANIFEST
from cxr.manifests.import_formats.vertex_jsonl import VERTEX_JSONL
from cxr.manifests.labels import LABELS_SUFFIX, LabelMapping, read_label_mapping, write_label_mapping
from cxr.manifests.manifest import SPLITS, Manifest
from cxr.progress import Progress, silent

_CHUNK_ROWS: Final = 64 * 1024
#: Rows between two words of progress.
_PROGRESS_ROWS: Final = 16 * 1024
#: More parts than this are a mistake in --max-bytes.
MAX_PARTS: Final = 1000
_PART: Final = re.compile(r"-[0-9]{5}-of-[0-9]{5}")
_SPLIT: Final = re.compile(rf"-(?:{'|'.join(SPLITS)})[.]")


class ImportFormat(StrEnum):
    """The formats, as `--format` takes them: Vertex AI's two, legacy AutoML Vision's and SageMaker's two."""

    CSV = "csv"
    JSONL = "jsonl"
    AUTOML_VISION_CSV = "automl-vision-csv"
    SAGEMAKER_LST = "sagemaker-lst"
    SAGEMAKER_MANIFEST = "sagemaker-manifest"


FORMATS: Final[Mapping[ImportFormat, Format]] = {
    ImportFormat.CSV: VERTEX_CSV,
    ImportFormat.JSONL: VERTEX_JSONL,
    ImportFormat.AUTOML_VISION_CSV: AUTOML_VISION_CSV,
    ImportFormat.SAGEMAKER_LST: SAGEMAKER_LST,
    ImportFormat.SAGEMAKER_MANIFEST: SAGEMAKER_MANIFEST,
}


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What would be written: the `used` rows (split, path, label) of the images at `base_url`, `left_out` of which have
    no split, and how the labels are spelled."""

    format: ImportFormat
    base_url: str
    used: pd.DataFrame
    left_out: int
    context: Context

    @property
    def labels(self) -> LabelMapping:
        """How the service gets to see the labels."""
        return self.context.labels

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have images, in their order."""
        present = set(self.used["split"].unique())
        return tuple(split for split in SPLITS if split in present)

    @property
    def counts(self) -> dict[str, int]:
        """Images by split."""
        counts = self.used["split"].value_counts()
        return {split: int(counts[split]) for split in self.splits}

    def rows(self, split: str | None = None) -> Iterator[ImportRow]:
        """The rows (of one split), in the order of their paths."""
        used = self.used if split is None else self.used[self.used["split"] == split]
        spellings = self.labels.spellings
        base = "" if FORMATS[self.format].relative else f"{self.base_url}/"
        # Some rows at a time: a column goes through much quicker as a list than value by value.
        for start in range(0, len(used), _CHUNK_ROWS):
            piece = used.iloc[start : start + _CHUNK_ROWS]
            columns = (piece[name].tolist() for name in ("split", "path", "label"))
            for number, kind, path, label in zip(piece.index.tolist(), *columns, strict=True):
                yield ImportRow(kind, base + path, spellings[label], number)

    def lines(self, split: str | None = None) -> Iterator[str]:
        """The rows as the format writes them."""
        return FORMATS[self.format].lines(self.rows(split), self.context)


@dataclass(frozen=True, slots=True)
class ImportFile:
    """A file that was written and read back."""

    path: Path
    rows: int
    size: int


@dataclass(frozen=True, slots=True)
class WrittenImport:
    """All files of an import, and `NAME.labels.json` where labels are spelled differently."""

    files: tuple[ImportFile, ...]
    labels_file: Path | None


def plan_import(
    manifest: Manifest, images_url: str, format: ImportFormat = ImportFormat.CSV, *, labels_as_is: bool = True
) -> ImportPlan:
    """Plan import files of the images that have a split.

    `images_url` is where the manifest's root lies: gs://BUCKET/PREFIX/images, or s3://… for SageMaker. Labels that the
    service refuses are spelled anew unless `labels_as_is`.

    Raises UsageError for another kind of URL, InputError for a label that the service refuses as it is or when no image
    has a split.
    """
    kind = FORMATS[format]
    base = _checked_url(images_url, kind.scheme)
    used = manifest.frame.loc[manifest.frame["split"] != "", ["split", "path", "label"]].reset_index(drop=True)
    if used.empty:
        raise InputError("no image of the manifest is in a split", hint="make a split: cxr data split")
    labels = kind.spell(used["label"].unique(), as_is=labels_as_is)
    created = manifest.header.created.removesuffix("+00:00")
    context = Context(labels, f"cxr-{manifest.hash[:16]}", created)
    return ImportPlan(format, base, used, len(manifest.frame) - len(used), context)


def check_target(format: ImportFormat, path: Path, max_bytes: int | None) -> None:
    """Raises UsageError when `path` has another suffix than the format's, or its files must not be divided."""
    kind = FORMATS[format]
    if path.suffix != kind.suffix:
        raise UsageError(f"{path}: the service knows {format} files by {kind.suffix}", hint=f"--out NAME{kind.suffix}")
    if max_bytes is not None and kind.max_bytes is None:
        raise UsageError(
            f"{format} files cannot be divided: SageMaker reads one a channel", hint="leave --max-bytes out"
        )


def write_import_files(
    plan: ImportPlan, path: Path, *, max_bytes: int | None = None, on_progress: Progress = silent
) -> WrittenImport:
    """Write the import as `path`, or in parts `NAME-00001-of-00003.csv` beside it where it would have more than
    `max_bytes` (by default the format's own limit), or as `NAME-train.lst` and so on where a split is a file.

    No row is torn. Each file is read back and compared with the manifest before it takes its name. Where labels are
    spelled differently, `NAME.labels.json` (`import.csv.labels.json`) tells how.

    Raises UsageError when `path` has another suffix than the format's, `max_bytes` is less than a row, or the format's
    files cannot be divided; InputError when `NAME.labels.json` is somebody else's; NotAllowed or Fault when the disk
    refuses; Fault when what lies on the disk is not what was to be written.
    """
    kind = FORMATS[plan.format]
    check_target(plan.format, path, max_bytes)
    labels_file = path.with_name(path.name + LABELS_SUFFIX)
    if labels_file.exists():
        read_label_mapping(labels_file)
    tick = _Ticker(len(plan.used), on_progress)
    files: list[ImportFile] = []
    with ExitStack() as stack:
        # All files take their names when everything is written, or none does.
        for split in plan.splits if kind.per_split else (None,):
            named = path if split is None else path.with_name(f"{path.stem}-{split}{path.suffix}")
            parts = _rows_per_part(plan.lines(split), max_bytes or kind.max_bytes)
            lines, rows = plan.lines(split), plan.rows(split)
            for part, count in zip(_part_paths(named, len(parts)), parts, strict=True):
                temporary = stack.enter_context(atomic_path(part))
                with temporary.open("w", encoding="utf-8", newline="\n") as stream:
                    stream.writelines(tick.count(islice(lines, count)))
                check_read_back(temporary, plan, split, islice(rows, count), name=part)
                files.append(ImportFile(part, count, temporary.stat().st_size))
        if plan.labels.changed or labels_file.exists():
            write_label_mapping(plan.labels, labels_file)
    return WrittenImport(tuple(files), labels_file if plan.labels.changed else None)


def read_import_rows(path: Path, plan: ImportPlan, split: str | None = None) -> Iterator[ImportRow]:
    """The rows of an import file of `plan` (of `split`, where a split is a file). Raises InputError naming the line
    that is no row, or when the file is absent or not UTF-8."""
    try:
        with path.open(encoding="utf-8", newline="\n") as stream:
            yield from FORMATS[plan.format].read(stream, split or "", plan.context)
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8: {error.reason}") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def check_read_back(
    path: Path, plan: ImportPlan, split: str | None, expected: Iterable[ImportRow], *, name: Path | None = None
) -> None:
    """Raises Fault when the file does not hold the `expected` rows and nothing else; `name` is what the message calls
    it."""
    try:
        for row, wanted in zip(read_import_rows(path, plan, split), expected, strict=True):
            if row != wanted:
                raise ValueError(f"{wanted.uri} became {row.uri}")
    except (InputError, ValueError) as error:
        raise Fault(
            f"{name or path} does not read back as it was written: {error}", hint="is the disk full or failing?"
        ) from error


def older_files(written: WrittenImport) -> list[Path]:
    """Files of an earlier import beside these: under the same name, in another number of parts, or of a split that
    has no images now."""
    new = {file.path for file in written.files}
    names = {(path.parent, _PART.sub("", path.name)) for path in new}
    names |= {(folder, _SPLIT.sub(f"-{split}.", name)) for folder, name in names for split in SPLITS}
    beside = {other for folder, name in names for other in folder.glob(f"*{Path(name).suffix}")}
    return sorted(other for other in beside - new if (other.parent, _PART.sub("", other.name)) in names)


def _checked_url(images_url: str, scheme: str) -> str:
    place = images_url.removeprefix(scheme).rstrip("/")
    if not images_url.startswith(scheme) or "" in place.split("/"):
        reader = "SageMaker" if scheme == "s3://" else "Vertex AI"
        raise UsageError(
            f"{images_url!r} is not where {reader} reads images from",
            hint=f"--images-url {scheme}BUCKET/PREFIX/images",
        )
    return f"{scheme}{place}"


def _rows_per_part(lines: Iterable[str], limit: int | None) -> list[int]:
    """How many rows go into each part of at most `limit` bytes."""
    parts, size = [0], 0
    for line in lines:
        length = len(line) if line.isascii() else len(line.encode())
        if limit is not None and size + length > limit:
            if length > limit:
                raise UsageError(f"a row has {length:,} bytes, more than a file may have", hint="raise --max-bytes")
            if len(parts) == MAX_PARTS:
                raise UsageError(f"more than {MAX_PARTS:,} files of {limit:,} bytes", hint="raise --max-bytes")
            parts.append(0)
            size = 0
        parts[-1] += 1
        size += length
    return parts


def _part_paths(path: Path, parts: int) -> list[Path]:
    if parts == 1:
        return [path]
    return [path.with_name(f"{path.stem}-{part:05}-of-{parts:05}{path.suffix}") for part in range(1, parts + 1)]


@dataclass(slots=True)
class _Ticker:
    """Tells of progress now and then."""

    total: int
    on_progress: Progress
    done: int = 0

    def count(self, lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            yield line
            self.done += 1
            if self.done % _PROGRESS_ROWS == 0 or self.done == self.total:
                self.on_progress(self.done, self.total, "")
