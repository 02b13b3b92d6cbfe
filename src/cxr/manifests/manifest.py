"""The Manifest noun: one row per image, frozen under a content hash.

On disk it is `NAME.csv` (the rows) and `NAME.json` (the header: schema version, root, counts, patient key, split policy
and hash); see `cxr.manifests.manifest_file`. The hash covers the rows alone, in the order of their paths: the same data
under another root is the same manifest.
"""

from __future__ import annotations

import hashlib
import math
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import pandas as pd

from cxr.errors import InputError
from cxr.labels import positive_class
from cxr.manifests.row_rules import first_bad_row
from cxr.version import __version__

SCHEMA_VERSION: Final = 2
SPLITS: Final = ("train", "validation", "test")
Severity = Literal["error", "warning", "note"]
PolicyName = Literal["official", "grouped", "folds", "resplit"]

#: Column -> dtype; docs/manifests.md says the same to users. What a listing or `--no-decode` cannot tell is 0 or empty.
COLUMNS: Final[dict[str, str]] = {
    "path": "str",  # POSIX, relative to the root
    "label": "str",
    "etiology": "str",  # bacterial, viral or empty
    "patient": "str",
    "split": "str",  # one of SPLITS, or empty for an image that nothing may use
    "fold": "str",  # 1 to K where folds were made, else empty
    "width": "int64",  # pixels as stored, before any EXIF rotation
    "height": "int64",
    "mode": "str",  # Pillow's: L, RGB, I;16, CMYK, P, …
    "format": "str",  # JPEG, PNG, …
    "orientation": "int64",  # EXIF orientation, 1 to 8; 1 where the file has none
    "size": "int64",  # bytes
    "sha256": "str",  # hex
    "md5": "str",  # hex, as an S3 ETag
    "crc32c": "str",  # base64 of the big-endian bytes, as Cloud Storage lists it
    "duplicate_group": "str",  # one key shared by images of equal bytes (same:…) or equal content (near:…)
}
#: A row of which nothing is known.
BLANK_ROW: Final[dict[str, str | int]] = {name: 0 if dtype == "int64" else "" for name, dtype in COLUMNS.items()}
#: The header keeps a checksum for each of at most so many blocks of rows, to tell where a file was edited.
MAX_BLOCKS: Final = 1024
_PIECE_ROWS: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Problem:
    """Something about one file that the user should know; the file is not in the manifest when severity is error."""

    rule: str
    path: str
    message: str
    severity: Severity = "error"


@dataclass(frozen=True, slots=True)
class SplitPolicy:
    """How the splits were made.

    `official` as found in the folders; `grouped` with test left alone and a share `validation` of the training pool;
    `folds` with test left alone and the pool in `folds` parts (fold 1 is the validation split); `resplit` with shares
    `validation` and `test` of everything. All but the first by patient and duplicate group, stratified by label and
    etiology, by `seed`.
    """

    name: PolicyName = "official"
    validation: float | None = None
    test: float | None = None
    folds: int | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class ManifestHeader:
    """What the sidecar JSON says of the rows.

    `root` is a URL, or a path relative to the manifest's own folder. `patient_key` is the parser's name. `decoded`
    tells whether every image was decoded to the end; `near_duplicates` whether they were looked for. `row_checksums`
    is the crc32 (8 hex digits) of each block of `rows_per_checksum` rows. `resealed` is when a hand-edited file was
    accepted.
    """

    root: str
    patient_key: str = "etiology+number"
    split_policy: SplitPolicy = field(default_factory=SplitPolicy)
    problems: tuple[Problem, ...] = ()
    decoded: bool = True
    near_duplicates: bool = False
    content_hash: str = ""
    rows_per_checksum: int = 1
    row_checksums: str = ""
    images: int = 0
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    created: str = ""
    resealed: str = ""
    tool_version: str = __version__
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class Manifest:
    """Rows (a frame with COLUMNS, sorted by path) and their header. Make one with `new_manifest`, never directly."""

    frame: pd.DataFrame
    header: ManifestHeader
    location: Path | None = None

    @property
    def hash(self) -> str:
        """The content hash (sha256 in hex) that names this manifest everywhere."""
        return self.header.content_hash

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels, sorted: the order of every model's outputs."""
        return tuple(sorted(self.frame["label"].unique()))

    @property
    def positive_class(self) -> str:
        """The class whose probability is thresholded: PNEUMONIA when there is one, else the last in order."""
        return positive_class(self.classes)

    @property
    def is_remote(self) -> bool:
        """Whether the images lie in a bucket (the manifest was made from a listing)."""
        return "://" in self.header.root

    @property
    def root(self) -> Path:
        """The folder that `path` is relative to. Raises InputError when the root is not a local folder."""
        if self.is_remote:
            raise InputError(f"the images of this manifest are at {self.header.root}, not in a local folder")
        base = self.location.parent.resolve() if self.location else Path()
        return Path(os.path.normpath(base / self.header.root))

    def split(self, name: str) -> pd.DataFrame:
        """The rows of one split, in order of their paths."""
        return self.frame[self.frame["split"] == name]


def new_manifest(frame: pd.DataFrame, header: ManifestHeader, location: Path | None = None) -> Manifest:
    """Sort and type the rows, count them and compute the content hash; a column that is not given is blank.

    Raises InputError for an illegal row.
    """
    blank = {name: value for name, value in BLANK_ROW.items() if name not in frame.columns}
    typed = frame.assign(**blank)[list(COLUMNS)]
    gaps = {name: BLANK_ROW[name] for name in COLUMNS if typed[name].isna().any()}
    typed = typed.astype(dict.fromkeys(gaps, "object")).fillna(gaps)
    typed = typed.astype({name: dtype for name, dtype in COLUMNS.items() if dtype != "str" or name in gaps})
    typed = typed.sort_values("path", kind="stable").reset_index(drop=True)
    bad = first_bad_row(typed)
    if bad is not None:
        raise InputError(f"{typed['path'].iloc[bad.row] or 'a row'}: {bad.message}")
    return sealed(typed, header, location)


def sealed(frame: pd.DataFrame, header: ManifestHeader, location: Path | None = None) -> Manifest:
    """Checked rows under a header with their counts, checksums and hash."""
    per_checksum = max(1, math.ceil(len(frame) / MAX_BLOCKS))
    digest, checksums = _digests(frame, per_checksum)
    header = replace(
        header,
        content_hash=digest,
        rows_per_checksum=per_checksum,
        row_checksums="".join(checksums),
        images=len(frame),
        counts=split_counts(frame),
        created=header.created or datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return Manifest(frame, header, location)


def split_counts(frame: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Images by split ("unused" for none) and label."""
    return {
        str(split or "unused"): {str(label): int(n) for label, n in rows["label"].value_counts().sort_index().items()}
        for split, rows in frame.groupby("split", sort=True)
    }


def content_hash(frame: pd.DataFrame) -> str:
    """sha256 (hex) of the schema version and the rows as canonical CSV, in the order of their paths."""
    return _digests(frame, 1)[0]


def block_checksums(frame: pd.DataFrame, rows_per_checksum: int) -> list[str]:
    """The crc32 (8 hex digits) of each block of rows as canonical CSV."""
    return _digests(frame, rows_per_checksum)[1]


def _digests(frame: pd.DataFrame, rows_per_checksum: int) -> tuple[str, list[str]]:
    digest = hash_of_schema()
    checksums: list[str] = []
    crc, rows = 0, 0
    for number, piece in enumerate(canonical_pieces(frame)):
        data = piece.encode()
        digest.update(data)
        if number == 0:
            continue  # the line of column names
        for line in data.splitlines(keepends=True):
            crc, rows = zlib.crc32(line, crc), rows + 1
            if rows == rows_per_checksum:
                checksums.append(f"{crc:08x}")
                crc, rows = 0, 0
    if rows:
        checksums.append(f"{crc:08x}")
    return digest.hexdigest(), checksums


def hash_of_schema() -> hashlib._Hash:
    """A sha256 that has seen the schema version and waits for the canonical CSV."""
    return hashlib.sha256(f"cxr-manifest/{SCHEMA_VERSION}\n".encode())


def canonical_pieces(frame: pd.DataFrame) -> Iterator[str]:
    """The canonical CSV in pieces: the line of column names, then some rows at a time; LF ends each line."""
    columns = list(COLUMNS)
    yield frame.iloc[:0][columns].to_csv(index=False, lineterminator="\n")
    for start in range(0, len(frame), _PIECE_ROWS):
        piece = frame.iloc[start : start + _PIECE_ROWS]
        yield piece[columns].to_csv(index=False, header=False, lineterminator="\n")


def canonical_csv(frame: pd.DataFrame) -> str:
    """The rows as they are written and hashed: the columns in their order, LF at the end of each line."""
    return "".join(canonical_pieces(frame))
