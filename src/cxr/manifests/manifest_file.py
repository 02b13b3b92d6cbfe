"""A manifest on disk: written whole, read back only when it is what was written."""

from __future__ import annotations

import io
import os
import warnings
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from cxr.documents import parse_json
from cxr.errors import InputError, UsageError
from cxr.files import atomic_path, write_text_atomically
from cxr.manifests.manifest import (
    COLUMNS,
    Manifest,
    ManifestHeader,
    block_checksums,
    canonical_pieces,
    content_hash,
    hash_of_schema,
    new_manifest,
    split_counts,
)
from cxr.manifests.manifest_header import header_text, read_header
from cxr.manifests.row_rules import first_bad_row

_SCAN_AGAIN = "scan the folder again: cxr data scan DIR"


def write_manifest(manifest: Manifest, path: Path) -> Manifest:
    """Write `path` (CSV) and its sidecar, the root made relative to the manifest's new folder.

    The header is written under another name, and takes its own when the rows have theirs: a program that is killed
    between leaves a manifest that can be read. Raises UsageError for a name that no manifest has, NotAllowed or
    Fault when the disk refuses.
    """
    check_name(path)
    root = manifest.header.root
    if not manifest.is_remote:
        root = Path(os.path.relpath(manifest.root.resolve(), path.parent.resolve())).as_posix()
    header = replace(manifest.header, root=root)
    pending = _pending_of(path)
    with atomic_path(path) as temporary:
        with temporary.open("w", encoding="utf-8", newline="") as stream:
            stream.writelines(canonical_pieces(manifest.frame))
        write_text_atomically(pending, header_text(header))
    pending.replace(sidecar_of(path))
    return Manifest(manifest.frame, header, path)


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest. Raises InputError naming file and row when it is absent, torn or was edited."""
    header, data, frame = _read(path)
    if not _fits(header, data, frame):
        raise InputError(
            f"{path} does not match its hash in {sidecar_of(path).name}: {_where_edited(frame, header)}",
            hint=f"undo the edit, or accept it: cxr data check --reseal --manifest {path}",
        )
    if (len(frame), split_counts(frame)) != (header.images, header.counts):
        raise InputError(
            f"{sidecar_of(path)}: its counts are not those of the rows: the header was edited", hint=_SCAN_AGAIN
        )
    return Manifest(frame, header, path)


def reseal(path: Path) -> Manifest:
    """Accept a hand-edited manifest: check its rows, write them and the header anew, with the time it happened.

    The hash changes when a row did: results on the file before are results on another manifest. Raises InputError as
    `read_manifest` does, but not for the hash.
    """
    header, data, frame = _read(path)
    if _fits(header, data, frame):
        return read_manifest(path)
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    return write_manifest(new_manifest(frame, replace(header, resealed=moment), path), path)


def _read(path: Path) -> tuple[ManifestHeader, bytes, pd.DataFrame]:
    """The header that belongs to the rows, and the rows; the header may still have the name it was written under."""
    data, frame = _read_rows(path)
    pending = _pending_of(path)
    if pending.exists():
        header = read_header(pending)
        if _fits(header, data, frame):
            return header, data, frame
    return read_header(sidecar_of(path)), data, frame


def _fits(header: ManifestHeader, data: bytes, frame: pd.DataFrame) -> bool:
    digest = hash_of_schema()
    digest.update(data)
    # Other line ends are no edit: only when the bytes differ are the rows written anew and hashed.
    return digest.hexdigest() == header.content_hash or content_hash(frame) == header.content_hash


def check_name(path: Path) -> None:
    """Raises UsageError for a name that does not end in .csv (the header's ends in .json) or whose header's name is
    taken by something else."""
    if path.suffix != ".csv" or path.name.endswith(".scan.csv"):
        raise UsageError(f"{path} is no name for a manifest", hint="--out NAME.csv")
    sidecar = sidecar_of(path)
    if sidecar.exists() and not _is_header(sidecar):
        raise UsageError(f"{sidecar} is there and is not the header of a manifest", hint="choose another --out")


def _is_header(path: Path) -> bool:
    try:
        raw = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(raw, dict) and {"schema_version", "content_hash", "root"} <= set(raw)


def sidecar_of(path: Path) -> Path:
    """The header's file: `manifest.csv` -> `manifest.json`."""
    return path.with_suffix(".json")


def _pending_of(path: Path) -> Path:
    return path.with_name(f".{path.stem}.json.next")


def _read_rows(path: Path) -> tuple[bytes, pd.DataFrame]:
    try:
        data = path.read_bytes()
        # pandas' time grows with the square of the columns: a line of a million of them would keep it for hours.
        if data.partition(b"\n")[0].count(b",") >= 2 * len(COLUMNS):
            raise _not_the_columns(path)
        with warnings.catch_warnings():
            # A row with too many fields is cut, with a warning; the row rules or the hash name it.
            warnings.simplefilter("ignore", pd.errors.ParserWarning)
            frame = pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False, index_col=False)
    except FileNotFoundError:
        raise InputError(f"there is no manifest {path}", hint="make one with: cxr data scan DIR") from None
    except (OSError, ValueError) as error:
        said = " ".join(str(error).split())
        raise InputError(f"cannot read the manifest {path}: {said}", hint=_SCAN_AGAIN) from error
    if list(frame.columns) != list(COLUMNS):
        raise _not_the_columns(path)
    frame = _typed(frame, path)
    bad = first_bad_row(frame)
    if bad is not None:
        raise InputError(f"{path}, row {bad.row + 2}: {bad.message}", hint=_correct(path))
    return data, frame


def _not_the_columns(path: Path) -> InputError:
    return InputError(f"{path} does not have the columns of a manifest: {', '.join(COLUMNS)}", hint=_SCAN_AGAIN)


def _typed(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    for column, dtype in COLUMNS.items():
        if dtype != "int64":
            continue
        whole = frame[column].str.fullmatch(r"-?[0-9]{1,18}").to_numpy(dtype=bool)
        if not whole.all():
            row = int((~whole).argmax())
            raise InputError(
                f"{path}, row {row + 2}: {column} is {frame[column].iloc[row]!r}, not a whole number",
                hint=_correct(path),
            )
        frame[column] = frame[column].astype("int64")
    return frame


def _correct(path: Path) -> str:
    return f"correct the row, then accept the edit: cxr data check --reseal --manifest {path}"


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
