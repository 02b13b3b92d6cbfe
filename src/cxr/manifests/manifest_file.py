"""A manifest on disk: written whole, read back only when it is what was written."""

from __future__ import annotations

import io
import json
import os
import warnings
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from cxr.errors import InputError, UsageError
from cxr.files import atomic_path, write_text_atomically
from cxr.manifests.manifest import (
    COLUMNS,
    SCHEMA_VERSION,
    Manifest,
    ManifestHeader,
    Problem,
    SplitPolicy,
    block_checksums,
    canonical_pieces,
    content_hash,
    hash_of_schema,
    new_manifest,
)
from cxr.manifests.row_rules import first_bad_row

_SCAN_AGAIN = "scan the folder again: cxr data scan DIR"


def write_manifest(manifest: Manifest, path: Path) -> Manifest:
    """Write `path` (CSV) and its sidecar, the root made relative to the manifest's new folder.

    Raises UsageError for a name that does not end in .csv, NotAllowed or Fault when the disk refuses.
    """
    check_name(path)
    root = manifest.header.root
    if not manifest.is_remote:
        root = Path(os.path.relpath(manifest.root.resolve(), path.parent.resolve())).as_posix()
    header = replace(manifest.header, root=root)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        stream.writelines(canonical_pieces(manifest.frame))
    write_text_atomically(sidecar_of(path), header_text(header))
    return Manifest(manifest.frame, header, path)


def header_text(header: ManifestHeader) -> str:
    """The sidecar's text."""
    return json.dumps(asdict(header), indent=2) + "\n"


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest. Raises InputError naming file and row when it is absent, torn or was edited."""
    header = _read_header(path)
    data, frame = _read_rows(path)
    digest = hash_of_schema()
    digest.update(data)
    # Other line ends are no edit: only when the bytes differ are the rows written anew and hashed.
    if digest.hexdigest() != header.content_hash and content_hash(frame) != header.content_hash:
        raise InputError(
            f"{path} does not match its hash in {sidecar_of(path).name}: {_where_edited(frame, header)}",
            hint=f"undo the edit, or accept it: cxr data check --reseal --manifest {path}",
        )
    return Manifest(frame, header, path)


def reseal(path: Path) -> Manifest:
    """Accept a hand-edited manifest: check its rows, write them and the header anew, with the time it happened.

    The hash changes when a row did: results on the file before are results on another manifest. Raises InputError as
    `read_manifest` does, but not for the hash.
    """
    header = _read_header(path)
    _, frame = _read_rows(path)
    if content_hash(frame) == header.content_hash:
        return read_manifest(path)
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    return write_manifest(new_manifest(frame, replace(header, resealed=moment), path), path)


def check_name(path: Path) -> None:
    """Raises UsageError for a name that does not end in .csv: the header beside it ends in .json."""
    if path.suffix != ".csv":
        raise UsageError(f"{path} is no name for a manifest", hint=f"--out {path.with_suffix('.csv')}")


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
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot read {sidecar}: {error}") from error
    if not isinstance(raw, dict) or "schema_version" not in raw:
        raise InputError(f"{sidecar} is not the header of a manifest")
    version = raw["schema_version"]
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{sidecar} is a manifest of schema version {version}; this cxr reads version {SCHEMA_VERSION}",
            hint=_SCAN_AGAIN,
        )
    try:
        header = ManifestHeader(
            **{
                **raw,
                "split_policy": SplitPolicy(**raw["split_policy"]),
                "problems": tuple(Problem(**problem) for problem in raw["problems"]),
            }
        )
    except (KeyError, TypeError) as error:
        raise InputError(f"{sidecar} is not the header of a manifest: {error}") from error
    wrong = next((name for name, kind in _HEADER_TYPES.items() if not isinstance(getattr(header, name), kind)), None)
    if wrong or header.rows_per_checksum < 1:
        raise InputError(f"{sidecar}: {wrong or 'rows_per_checksum'} has a value that no header has", hint=_SCAN_AGAIN)
    return header


_HEADER_TYPES: dict[str, type] = {
    "root": str,
    "patient_key": str,
    "content_hash": str,
    "rows_per_checksum": int,
    "row_checksums": str,
    "images": int,
    "counts": dict,
}


def _read_rows(path: Path) -> tuple[bytes, pd.DataFrame]:
    try:
        data = path.read_bytes()
        with warnings.catch_warnings():
            # A row with too many fields is cut, with a warning; the row rules or the hash name it.
            warnings.simplefilter("ignore", pd.errors.ParserWarning)
            frame = pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False, index_col=False)
    except FileNotFoundError:
        raise InputError(f"there is no manifest {path}", hint="make one with: cxr data scan DIR") from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the manifest {path}: {error}") from error
    if list(frame.columns) != list(COLUMNS):
        raise InputError(f"{path} does not have the columns of a manifest: {', '.join(COLUMNS)}")
    frame = _typed(frame, path)
    bad = first_bad_row(frame)
    if bad is not None:
        raise InputError(f"{path}, row {bad.row + 2}: {bad.message}")
    return data, frame


def _typed(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    for column, dtype in COLUMNS.items():
        if dtype != "int64":
            continue
        whole = frame[column].str.fullmatch(r"-?[0-9]{1,18}").to_numpy(dtype=bool)
        if not whole.all():
            row = int((~whole).argmax())
            raise InputError(f"{path}, row {row + 2}: {column} is {frame[column].iloc[row]!r}, not a whole number")
        frame[column] = frame[column].astype("int64")
    return frame


def _where_edited(frame: pd.DataFrame, header: ManifestHeader) -> str:
    if len(frame) != header.images:
        return f"it has {len(frame):,} rows instead of {header.images:,}"
    known = header.row_checksums
    for block, found in enumerate(block_checksums(frame, header.rows_per_checksum)):
        if known[8 * block : 8 * block + 8] != found:
            first = block * header.rows_per_checksum
            last = min(first + header.rows_per_checksum, len(frame)) - 1
            where = f"row {first + 2}" if first == last else f"one of the rows {first + 2} to {last + 2}"
            return f"{where} was edited (from {frame['path'].iloc[first]})"
    return "its header was edited"
