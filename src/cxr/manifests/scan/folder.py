"""From a folder of images to a manifest: every file read once, nothing skipped silently."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from cxr.manifests.duplicates.near import SIDE, NearDuplicates, Thumbnail, find_near_duplicates
from cxr.manifests.duplicates.perceptual_hash import can_hash, thumbnail
from cxr.manifests.duplicates.same import duplicate_groups
from cxr.manifests.manifest import Manifest, ManifestHeader, Problem, new_manifest
from cxr.manifests.patients.keys import DEFAULT_READING, patient_reader
from cxr.manifests.scan.image_file import DECODE_ERRORS, FORMATS, Reading, read_image_file
from cxr.manifests.scan.layout import find_layout
from cxr.manifests.scan.problems import problem
from cxr.manifests.scan.record import ScanRecord, frame_of, problems_of, row_of
from cxr.manifests.scan.rows import add_patients, check_labels, check_paths, in_order, split_off_unlabelled
from cxr.manifests.scan.tree import FilesFound, TreeFile, find_files
from cxr.progress import Progress, silent

#: Files a worker takes at a time: enough to make the hand-over free, few enough for a smooth progress bar.
FILES_PER_TASK: Final = 32

#: Is given the record of a scan that did not end well, to write it.
Rescue = Callable[[ScanRecord], None]


def forget(record: ScanRecord) -> None:
    """Rescues nothing."""
    del record


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
    differ only in case, for a bad table of patients, and for a table or an expression that tells the patient of no
    image; UsageError for an unknown `patient_key`; NotAllowed when the folder cannot be read.
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
    rescue: Rescue = forget,
) -> Scan:
    """`scan`, with the record that makes the next scan of the same folder quick.

    When the scan ends early, by an error or Ctrl-C, `rescue` is given the record of what was read by then (unless
    `earlier` is of another folder: then that one is worth more), and the next scan need not read it again.
    """
    reader = patient_reader(patient_key)
    layout = find_layout(root)
    base = (root / layout.wrapper).resolve()
    reading = Reading(decode, hashed=decode and near_duplicates and can_hash())
    began_ns = time.time_ns()
    found = find_files(root, layout, on_progress)
    check_paths(str(root), {file.relative: file.place.label for file in found.files}, reader)
    usable = earlier if earlier is not None and earlier.serves(base, reading) else None
    near = usable.near if usable else None
    seen = _Seen.of(found.files, usable)
    try:
        _read_all(base, seen, reading, on_progress)
        frame = seen.frame()
        rows, problems = _labelled_rows(found, frame)
        check_labels(str(root), rows, problems)
        problems += add_patients(rows, reader)
        if reading.hashed:
            on_progress(len(frame), len(frame), "looking for near-duplicates")
            near = _near_duplicates(base, rows, near)
    except BaseException:
        read = seen.frame()
        if len(read) and (earlier is None or earlier.root == base):
            rescue(ScanRecord(base, reading, began_ns, read, near))
        raise
    searched = near if reading.hashed else None
    problems += _unsearched(searched, near_duplicates, decode)
    rows["duplicate_group"] = duplicate_groups(rows, searched.pairs if searched else ())
    header = ManifestHeader(
        root=str(base),
        patient_key=reader.spec,
        problems=in_order(problems),
        decoded=decode,
        near_duplicates=searched is not None and searched.complete,
    )
    manifest = new_manifest(rows.drop(columns="perceptual_hash"), header)
    return Scan(manifest, ScanRecord(base, reading, began_ns, frame, near), seen.reused)


@dataclass(slots=True)
class _Seen:
    """What is known of `files` so far: `places` has the row in the earlier record of each that has not changed, -1 for
    the others; `fresh` are the rows of the first of those."""

    files: Sequence[TreeFile]
    earlier: pd.DataFrame | None
    places: npt.NDArray[np.int64]
    fresh: list[list[Any]] = field(default_factory=list)

    @classmethod
    def of(cls, files: Sequence[TreeFile], earlier: ScanRecord | None) -> _Seen:
        if earlier is None or not files:
            return cls(files, None, np.full(len(files), -1, dtype=np.int64))
        names = ("relative", "size", "mtime_ns", "inode")
        listed = {name: [getattr(file, name) for file in files] for name in names}
        status = pd.DataFrame(listed).rename(columns={"relative": "path"}).astype({"inode": "uint64"})
        return cls(files, earlier.frame, earlier.unchanged(status))

    @property
    def reused(self) -> int:
        return int((self.places >= 0).sum())

    def unread(self) -> list[TreeFile]:
        """The files that have to be read."""
        return [self.files[number] for number in np.flatnonzero(self.places < 0).tolist()]

    def frame(self) -> pd.DataFrame:
        """The record's rows of the files that are known, in the order of the files."""
        if self.earlier is None:
            return frame_of(self.fresh)
        kept = self.places >= 0
        both = pd.concat([self.earlier, frame_of(self.fresh)], ignore_index=True) if self.fresh else self.earlier
        order = np.where(kept, self.places, len(self.earlier) + np.cumsum(~kept) - 1)
        return both.take(order[order < len(both)]).reset_index(drop=True)


def _read_all(base: Path, seen: _Seen, reading: Reading, on_progress: Progress) -> None:
    # Threads: reading, hashing and decoding all release the interpreter lock.
    Image.init()
    files, total = seen.unread(), len(seen.files)
    if not files:
        on_progress(total, total, "")
    tasks = [files[start : start + FILES_PER_TASK] for start in range(0, len(files), FILES_PER_TASK)]
    workers = min(32, 2 * (os.cpu_count() or 1))
    stopped = Event()

    def read(task: Sequence[TreeFile]) -> list[list[Any]]:
        return [_read_one(base, file, reading) for file in task if not stopped.is_set()]

    with _quiet_pillow(), ThreadPoolExecutor(max_workers=workers) as pool:
        try:
            for batch in pool.map(read, tasks):
                seen.fresh += batch
                on_progress(total - len(files) + len(seen.fresh), total, "")
        except BaseException:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    # Its remarks on odd tags. (The filter is the process's, not a thread's: so it is set outside the pool.)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _read_one(base: Path, file: TreeFile, reading: Reading) -> list[Any]:
    return row_of(file, *read_image_file(base / file.relative, file.relative, file.size, reading))


def _labelled_rows(found: FilesFound, seen: pd.DataFrame) -> tuple[pd.DataFrame, list[Problem]]:
    """The manifest's rows, as far as the bytes and the folders tell them (and their perceptual hashes), and all
    problems so far."""
    rows = seen.drop(columns=["mtime_ns", "inode", "problems"])
    rows["split"] = [file.place.split for file in found.files]
    rows["label"] = [file.place.label for file in found.files]
    rows, unlabelled = split_off_unlabelled(rows[rows["width"] > 0].reset_index(drop=True))
    return rows, [*found.problems, *problems_of(seen), *unlabelled]


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
            image.draft("L", (4 * SIDE, 4 * SIDE))
            return np.asarray(thumbnail(image, SIDE), dtype=np.uint8)
    except (*DECODE_ERRORS, Image.DecompressionBombError):
        return None


def _unsearched(near: NearDuplicates | None, wanted: bool, decode: bool) -> list[Problem]:
    """A note when near-duplicates were wanted and not, or not all, looked for."""
    if not wanted or (near is not None and near.complete):
        return []
    if near is not None and near.cut_off:
        words = "too many look-alikes to compare all pairs: only the closest were looked at"
    elif near is not None:
        words = "some images or their look-alikes could not be compared: scan again"
    else:
        why = "the package imagehash is not installed" if decode else "the images were not decoded"
        words = f"near-duplicates were not looked for: {why}"
    return [problem("near-duplicates-unknown", ".", words)]
