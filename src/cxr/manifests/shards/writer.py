"""Write the planned shards: each image checked while it is read, each file whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import google_crc32c
from PIL import Image

from cxr.errors import InputError
from cxr.files import atomic_path
from cxr.manifests.scan.image_file import DECODE_ERRORS, FORMATS
from cxr.manifests.shards.folder import (
    check_free_space,
    finished_shards,
    make_folder,
    refuse_foreign_shards,
    remove_other_shards,
    remove_temporaries,
)
from cxr.manifests.shards.framing import framed
from cxr.manifests.shards.index import INDEX_NAME, ShardEntry, ShardIndex, index_of, write_index
from cxr.manifests.shards.journal import ShardJournal, locked_journal
from cxr.manifests.shards.plan import PlannedShard, ShardPlan
from cxr.manifests.shards.shard_record import ShardRecord
from cxr.progress import Progress, silent

#: Shards written at a time: reading waits for the disk, hashing does not hold the interpreter lock.
WORKERS: Final = min(4, os.cpu_count() or 1)
_SCAN_AGAIN: Final = "scan the folder again: cxr data scan DIR"


@dataclass(frozen=True, slots=True)
class ShardRun:
    """What a run did: the index, and the names of the shards that it wrote and of those it found finished."""

    index: ShardIndex
    written: tuple[str, ...]
    kept: tuple[str, ...]


def write_shards(
    plan: ShardPlan, root: Path, folder: Path, *, force: bool = False, on_progress: Progress = silent
) -> ShardRun:
    """Write a plan's shards of the images below `root` into `folder`, then the index.

    The bytes of every file depend on the plan and the images alone. Shards of the same plan that are already there,
    with the checksums on record, are kept; temporary files of a killed run are removed. `force` replaces shards of
    another plan.

    Raises UsageError when the folder holds other shards and `force` is not given; InputError by path for an image
    that is missing or not the manifest's (finished shards stay, for the next run), or when another run is writing;
    Fault when the disk has too little space or refuses; NotAllowed without permission.
    """
    make_folder(folder)
    if not force:
        refuse_foreign_shards(folder, plan)
    with locked_journal(folder) as journal:
        remove_other_shards(folder, plan)
        remove_temporaries(folder)
        kept = finished_shards(folder, plan)
        names = {entry.file for entry in kept}
        rest = [shard for shard in plan.shards if shard.file not in names]
        check_free_space(folder, rest)
        journal.begin(plan.id, kept)
        if rest:
            (folder / INDEX_NAME).unlink(missing_ok=True)
        done = sum(entry.records for entry in kept)
        written = _write_all(rest, plan, root, folder, journal, _Meter(on_progress, done, plan.records))
        index = index_of(plan, [*kept, *written])
        write_index(index, folder)
        journal.remove()
    return ShardRun(index, tuple(entry.file for entry in written), tuple(entry.file for entry in kept))


class _Meter:
    """Counts images across threads; after `stop` every `step` raises, so that no thread goes on for nothing."""

    def __init__(self, on_progress: Progress, done: int, total: int) -> None:
        self._on_progress = on_progress
        self._done = done
        self._total = total
        self._lock = threading.Lock()
        self._stopped = False
        on_progress(done, total, "")

    def step(self, note: str) -> None:
        with self._lock:
            if self._stopped:
                raise _StoppedError
            self._done += 1
            self._on_progress(self._done, self._total, note)

    def stop(self) -> None:
        with self._lock:
            self._stopped = True


class _StoppedError(Exception):
    """Another thread has failed, or the user has stopped the run."""


def _write_all(
    shards: Sequence[PlannedShard], plan: ShardPlan, root: Path, folder: Path, journal: ShardJournal, meter: _Meter
) -> list[ShardEntry]:
    entries: list[ShardEntry] = []
    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        running = [pool.submit(_write_shard, shard, plan, root, folder, journal, meter) for shard in shards]
        try:
            for future in as_completed(running):
                entries.append(future.result())
        except BaseException:
            meter.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return sorted(entries, key=lambda entry: entry.file)


def _write_shard(
    shard: PlannedShard, plan: ShardPlan, root: Path, folder: Path, journal: ShardJournal, meter: _Meter
) -> ShardEntry:
    sha256, crc32c, size = hashlib.sha256(), google_crc32c.Checksum(), 0
    labels: Counter[str] = Counter()
    with atomic_path(folder / shard.file) as temporary, temporary.open("wb") as stream:
        for record in _records(shard, plan, root):
            data = framed(record.to_example())
            stream.write(data)
            sha256.update(data)
            crc32c.update(data)
            size += len(data)
            labels[record.text] += 1
            meter.step(shard.file)
    entry = ShardEntry(
        file=shard.file,
        split=shard.split,
        records=labels.total(),
        bytes=size,
        sha256=sha256.hexdigest(),
        crc32c=base64.b64encode(crc32c.digest()).decode("ascii"),
        counts=dict(sorted(labels.items())),
    )
    journal.add(entry)
    return entry


def _records(shard: PlannedShard, plan: ShardPlan, root: Path) -> Iterator[ShardRecord]:
    number_of = {name: number for number, name in enumerate(plan.classes)}
    rows: Iterator[Any] = shard.rows.itertuples(index=False)
    for row in rows:
        data = _checked_bytes(root, row)
        width, height, format = int(row.width), int(row.height), str(row.format)
        if not (width and height and format):
            width, height, format = _from_header(data, str(row.path))
        yield ShardRecord(
            encoded=data,
            format=format,
            height=height,
            width=width,
            label=number_of[row.label],
            text=row.label,
            path=row.path,
            patient=row.patient,
            etiology=row.etiology,
            sha256=row.sha256 or hashlib.sha256(data).hexdigest(),
        )


def _checked_bytes(root: Path, row: Any) -> bytes:
    try:
        data: bytes = (root / row.path).read_bytes()
    except OSError as error:
        raise InputError(
            f"the image {row.path} cannot be read from {root}: {error.strerror or error}", hint=_SCAN_AGAIN
        ) from error
    # A manifest without sha256 has at least one of the others.
    if (
        len(data) != row.size
        or (row.sha256 and hashlib.sha256(data).hexdigest() != row.sha256)
        or (not row.sha256 and row.md5 and hashlib.md5(data, usedforsecurity=False).hexdigest() != row.md5)
        or (not row.sha256 and row.crc32c and _crc32c(data) != row.crc32c)
    ):
        raise InputError(f"the image {row.path} in {root} is not the one in the manifest any more", hint=_SCAN_AGAIN)
    return data


def _crc32c(data: bytes) -> str:
    return base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode("ascii")


def _from_header(data: bytes, path: str) -> tuple[int, int, str]:
    """Width, height and format from the image's header, for a manifest made without decoding."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return *image.size, "JPEG" if image.format == "MPO" else str(image.format)
    except DECODE_ERRORS as error:
        raise InputError(f"the image {path} is not an image", hint=_SCAN_AGAIN) from error
