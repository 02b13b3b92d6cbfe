"""From a folder of images to a manifest: every file read once, nothing skipped silently."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from PIL import Image

from cxr.manifests.duplicates import duplicate_groups
from cxr.manifests.image_file import DECODE_ERRORS, FORMATS, Reading, read_image_file
from cxr.manifests.layout import find_layout
from cxr.manifests.manifest import Manifest, ManifestHeader, Problem, new_manifest
from cxr.manifests.near_duplicates import SIDE, NearDuplicates, Thumbnail, find_near_duplicates
from cxr.manifests.patients import DEFAULT_READING, patient_reader
from cxr.manifests.perceptual_hash import can_hash, thumbnail
from cxr.manifests.problems import problem
from cxr.manifests.progress import Progress, silent
from cxr.manifests.scan_record import ScanRecord, frame_of, problems_of, row_of
from cxr.manifests.scan_rows import add_patients, check_labels, in_order, split_off_unlabelled
from cxr.manifests.tree import FilesFound, TreeFile, find_files

#: Files a worker takes at a time: enough to make the hand-over free, few enough for a smooth progress bar.
FILES_PER_TASK: Final = 32


@dataclass(frozen=True, slots=True)
class Scan:
    """A manifest, the record for the next scan, and how many of its files the record before it spared."""

    manifest: Manifest
    record: ScanRecord
    reused: int


def scan(
    root: Path,
    *,
    patient_key: str = DEFAULT_READING,
    on_progress: Progress = silent,
    decode: bool = True,
    near_duplicates: bool = True,
    earlier: ScanRecord | None = None,
) -> Manifest:
    """Scan DIR/<split>/<label>/… or DIR/<label>/… (all train) into a manifest.

    Each file is read once: sha256, md5, crc32c, the header's facts, a full decode and a perceptual hash come from the
    same bytes. Files that cannot be used become Problems in the header (severity error: not in the rows). The
    manifest's root is the folder below any wrapper. `decode` False looks at headers only (a torn file is not noticed,
    near-duplicates are not looked for). Files that `earlier` knows and that have not changed are not read.

    Raises InputError for a missing folder, one without a usable image, with one label only, or with two labels that
    differ only in case; UsageError for an unknown `patient_key`; NotAllowed when the folder cannot be read.
    """
    return scan_with_record(
        root,
        patient_key=patient_key,
        on_progress=on_progress,
        decode=decode,
        near_duplicates=near_duplicates,
        earlier=earlier,
    ).manifest


def scan_with_record(
    root: Path,
    *,
    patient_key: str = DEFAULT_READING,
    on_progress: Progress = silent,
    decode: bool = True,
    near_duplicates: bool = True,
    earlier: ScanRecord | None = None,
) -> Scan:
    """`scan`, with the record that makes the next scan of the same folder quick."""
    reader = patient_reader(patient_key)
    layout = find_layout(root)
    base = (root / layout.wrapper).resolve()
    reading = Reading(decode, hashed=decode and near_duplicates and can_hash())
    began_ns = time.time_ns()
    found = find_files(root, layout, on_progress)
    usable = earlier if earlier is not None and earlier.serves(base, reading) else None
    seen, reused = _look_at_all(base, found.files, reading, usable, on_progress)
    problems = found.problems + problems_of(seen)
    rows = _rows(found, seen)
    rows, unlabelled = split_off_unlabelled(rows)
    problems += unlabelled
    check_labels(str(root), rows, problems)
    near = None
    if reading.hashed:
        on_progress(len(seen), len(seen), "looking for near-duplicates")
        near = _near_duplicates(base, rows, usable.near if usable else None)
    problems += _unsearched(near, near_duplicates, decode)
    rows["duplicate_group"] = duplicate_groups(rows, near.pairs if near else ())
    problems += add_patients(rows, reader)
    header = ManifestHeader(
        root=str(base),
        patient_key=reader.spec,
        problems=in_order(problems),
        decoded=decode,
        near_duplicates=near is not None and near.complete,
    )
    manifest = new_manifest(rows.drop(columns="perceptual_hash"), header)
    return Scan(manifest, ScanRecord(base, reading, began_ns, seen, near), reused)


def _look_at_all(
    base: Path, files: Sequence[TreeFile], reading: Reading, earlier: ScanRecord | None, on_progress: Progress
) -> tuple[pd.DataFrame, int]:
    """The record's rows of all files in their order, and how many were taken over from an earlier record."""
    if earlier is None or not files:
        return frame_of(_read_all(base, files, reading, 0, on_progress)), 0
    names = ("relative", "size", "mtime_ns", "inode")
    listed = {name: [getattr(file, name) for file in files] for name in names}
    status = pd.DataFrame(listed).rename(columns={"relative": "path"}).astype({"inode": "uint64"})
    places = earlier.unchanged(status)
    kept = places >= 0
    changed = [files[number] for number in np.flatnonzero(~kept).tolist()]
    fresh = _read_all(base, changed, reading, int(kept.sum()), on_progress)
    if not fresh:
        on_progress(len(files), len(files), "")
        return earlier.frame.take(places).reset_index(drop=True), len(files)
    order = np.where(kept, places, len(earlier.frame) + np.cumsum(~kept) - 1)
    both = pd.concat([earlier.frame, frame_of(fresh)], ignore_index=True)
    return both.take(order).reset_index(drop=True), int(kept.sum())


def _read_all(
    base: Path, files: Sequence[TreeFile], reading: Reading, done: int, on_progress: Progress
) -> list[list[Any]]:
    # Threads: reading, hashing and decoding all release the interpreter lock.
    Image.init()
    total = done + len(files)
    tasks = [files[start : start + FILES_PER_TASK] for start in range(0, len(files), FILES_PER_TASK)]
    rows: list[list[Any]] = []
    workers = min(32, 2 * (os.cpu_count() or 1))
    with _quiet_pillow(), ThreadPoolExecutor(max_workers=workers) as pool:
        try:
            for batch in pool.map(lambda task: [_read_one(base, file, reading) for file in task], tasks):
                rows += batch
                on_progress(done + len(rows), total, "")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return rows


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    # Its remarks on odd tags. (The filter is the process's, not a thread's: so it is set outside the pool.)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _read_one(base: Path, file: TreeFile, reading: Reading) -> list[Any]:
    facts, found = read_image_file(base / file.relative, file.relative, file.size, reading)
    return row_of(file.relative, file.size, file.mtime_ns, file.inode, facts, found)


def _rows(found: FilesFound, seen: pd.DataFrame) -> pd.DataFrame:
    """The manifest's rows, as far as the bytes and the folders tell them (and their perceptual hashes)."""
    rows = seen.drop(columns=["mtime_ns", "inode", "problems"])
    rows["split"] = [file.place.split for file in found.files]
    rows["label"] = [file.place.label for file in found.files]
    return rows[rows["width"] > 0].reset_index(drop=True)


def _near_duplicates(base: Path, rows: pd.DataFrame, earlier: NearDuplicates | None) -> NearDuplicates:
    first = rows.drop_duplicates("sha256")
    paths = dict(zip(first["sha256"], first["path"], strict=True))
    hashes = dict(zip(first["sha256"], first["perceptual_hash"], strict=True))
    with _quiet_pillow():
        return find_near_duplicates(hashes, lambda sha: _read_thumbnail(base / paths[sha]), earlier)


def _read_thumbnail(path: Path) -> Thumbnail | None:
    """Read again, as JPEG at a fraction of its size; None when the file has gone or broken since."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            image.draft("L", (2 * SIDE, 2 * SIDE))
            return np.asarray(thumbnail(image, SIDE), dtype=np.uint8)
    except (*DECODE_ERRORS, Image.DecompressionBombError):
        return None


def _unsearched(near: NearDuplicates | None, wanted: bool, decode: bool) -> list[Problem]:
    """A note when near-duplicates were wanted and not, or not all, looked for."""
    if not wanted or (near is not None and near.complete):
        return []
    if near is not None:
        words = "too many look-alikes to compare all pairs: only the closest were looked at"
    else:
        why = "the package imagehash is not installed" if decode else "the images were not decoded"
        words = f"near-duplicates were not looked for: {why}"
    return [problem("near-duplicates-unknown", ".", words)]
