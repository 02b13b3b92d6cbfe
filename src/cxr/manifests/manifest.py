"""The Manifest noun: one row per image, frozen under a content hash.

On disk it is `NAME.csv` (the rows) and `NAME.json` (the header: schema version, root, counts, patient key, split policy
and hash). The hash covers the rows alone, in the order of their paths: the same data under another root is the same
manifest.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import pandas as pd

from cxr.errors import InputError
from cxr.files import write_text_atomically
from cxr.labels import positive_class
from cxr.version import __version__

SCHEMA_VERSION = 1
SPLITS = ("train", "validation", "test")

#: Column -> dtype. `path` is POSIX and relative to the root; `size` is in bytes; `sha256` in hex; `crc32c` in base64 of
#: the big-endian bytes (as Cloud Storage lists it); `split` is one of SPLITS, or empty for an image that no split uses;
#: `etiology` is bacterial, viral or empty; `duplicate_group` is empty, or one key shared by images of equal bytes.
COLUMNS: dict[str, str] = {
    "path": "str",
    "label": "str",
    "etiology": "str",
    "patient": "str",
    "split": "str",
    "width": "int64",
    "height": "int64",
    "size": "int64",
    "sha256": "str",
    "crc32c": "str",
    "duplicate_group": "str",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something about one file that the user should know; the file is not in the manifest when severity is error."""

    rule: str
    path: str
    message: str
    severity: Literal["error", "warning"] = "error"


@dataclass(frozen=True, slots=True)
class SplitPolicy:
    """How the validation split was made: `official` as found in the folders, or `grouped` (by patient and duplicate
    group, stratified by label and etiology, a share `validation` of the training pool, by `seed`)."""

    name: Literal["official", "grouped"] = "official"
    validation: float | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class ManifestHeader:
    """What the sidecar JSON says of the rows. `root` is a URL, or a path relative to the manifest's own folder."""

    root: str
    patient_key: str = "etiology+number"
    split_policy: SplitPolicy = field(default_factory=SplitPolicy)
    problems: tuple[Problem, ...] = ()
    content_hash: str = ""
    images: int = 0
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    created: str = ""
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
    def root(self) -> Path:
        """The folder that `path` is relative to. Raises InputError when the root is not a local folder."""
        if "://" in self.header.root:
            raise InputError(f"the images of this manifest are at {self.header.root}, not in a local folder")
        base = self.location.parent.resolve() if self.location else Path()
        return Path(os.path.normpath(base / self.header.root))

    def split(self, name: str) -> pd.DataFrame:
        """The rows of one split, in order of their paths."""
        return self.frame[self.frame["split"] == name]


def new_manifest(frame: pd.DataFrame, header: ManifestHeader, location: Path | None = None) -> Manifest:
    """Sort and type the rows, count them and compute the content hash. Raises InputError for an illegal row."""
    typed = frame[list(COLUMNS)].astype({name: dtype for name, dtype in COLUMNS.items() if dtype != "str"})
    typed = typed.fillna("").sort_values("path", kind="stable").reset_index(drop=True)
    _check_rows(typed)
    counts = {
        str(split or "unused"): {str(label): int(n) for label, n in rows["label"].value_counts().sort_index().items()}
        for split, rows in typed.groupby("split", sort=True)
    }
    header = replace(
        header,
        content_hash=content_hash(typed),
        images=len(typed),
        counts=counts,
        created=header.created or datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return Manifest(typed, header, location)


def content_hash(frame: pd.DataFrame) -> str:
    """sha256 (hex) of the schema version and the rows as canonical CSV, in the order of their paths."""
    return hashlib.sha256(f"cxr-manifest/{SCHEMA_VERSION}\n{canonical_csv(frame)}".encode()).hexdigest()


def write_manifest(manifest: Manifest, path: Path) -> Manifest:
    """Write `path` (CSV) and its sidecar, the root made relative to the manifest's new folder."""
    root = manifest.header.root
    if "://" not in root:
        root = Path(os.path.relpath(manifest.root.resolve(), path.parent.resolve())).as_posix()
    header = replace(manifest.header, root=root)
    write_text_atomically(path, canonical_csv(manifest.frame))
    write_text_atomically(sidecar_of(path), json.dumps(asdict(header), indent=2) + "\n")
    return Manifest(manifest.frame, header, path)


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest. Raises InputError naming file and row when it is absent, torn or was edited."""
    header = _read_header(path)
    try:
        text = path.read_text(encoding="utf-8")
        frame = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise InputError(f"there is no manifest {path}", hint="make one with: cxr data scan DIR") from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise InputError(f"cannot read the manifest {path}: {error}") from error
    if list(frame.columns) != list(COLUMNS):
        raise InputError(f"{path} does not have the columns of a manifest: {', '.join(COLUMNS)}")
    frame = _typed(frame, path)
    _check_rows(frame)
    if content_hash(frame) != header.content_hash:
        raise InputError(
            f"{path} does not match its hash in {sidecar_of(path).name}: it was edited or only half of it was copied",
            hint="scan the folder again: cxr data scan DIR",
        )
    return Manifest(frame, header, path)


def sidecar_of(path: Path) -> Path:
    """The header's file: `manifest.csv` -> `manifest.json`."""
    return path.with_suffix(".json")


def _read_header(path: Path) -> ManifestHeader:
    sidecar = sidecar_of(path)
    try:
        raw: dict[str, Any] = json.loads(sidecar.read_text(encoding="utf-8"))
    except FileNotFoundError:
        missing = path if not path.exists() else sidecar
        raise InputError(f"there is no manifest {missing}", hint="make one with: cxr data scan DIR") from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {sidecar}: {error}") from error
    if not isinstance(raw, dict) or raw.get("schema_version") != SCHEMA_VERSION:
        raise InputError(f"{sidecar} is not the header of a manifest of schema version {SCHEMA_VERSION}")
    try:
        return ManifestHeader(
            **{
                **raw,
                "split_policy": SplitPolicy(**raw["split_policy"]),
                "problems": tuple(Problem(**problem) for problem in raw["problems"]),
            }
        )
    except (KeyError, TypeError) as error:
        raise InputError(f"{sidecar} is not the header of a manifest: {error}") from error


def _typed(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    for column, dtype in COLUMNS.items():
        if dtype != "int64":
            continue
        numbers = pd.to_numeric(frame[column], errors="coerce")
        if numbers.isna().any():
            row = int(numbers.isna().to_numpy().argmax())
            raise InputError(f"{path}, row {row + 2}: {column} is {frame[column].iloc[row]!r}, not a whole number")
        frame[column] = numbers.astype("int64")
    return frame


def _check_rows(frame: pd.DataFrame) -> None:
    bad_split = ~frame["split"].isin([*SPLITS, ""])
    if bad_split.any():
        row = frame[bad_split].iloc[0]
        raise InputError(f"{row['path']}: {row['split']!r} is not a split", hint=f"splits: {', '.join(SPLITS)}")
    repeated = frame["path"].duplicated()
    if repeated.any():
        raise InputError(f"{frame['path'][repeated].iloc[0]} is in the manifest twice")
    for path in frame["path"]:
        parts = PurePosixPath(path)
        if not path or parts.is_absolute() or ".." in parts.parts:
            raise InputError(f"the path {path!r} leaves the manifest's root")


def canonical_csv(frame: pd.DataFrame) -> str:
    """The rows as they are written and hashed: the columns in their order, LF at the end of each line."""
    return frame[list(COLUMNS)].to_csv(index=False, lineterminator="\n")
