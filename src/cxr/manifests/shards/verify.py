"""Read shards back: every record's checksum, every image's digest, every file against the index."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cxr.errors import InputError
from cxr.manifests.shards.folder import is_intact
from cxr.manifests.shards.framing import read_frames
from cxr.manifests.shards.index import ShardEntry, ShardIndex, read_index
from cxr.manifests.shards.shard_record import ShardRecord
from cxr.progress import Progress, silent


@dataclass(frozen=True, slots=True)
class ShardFault:
    """What is wrong with one shard."""

    file: str
    message: str


def read_shard(path: Path) -> Iterator[ShardRecord]:
    """The images of one shard in order, the checksums of each record checked.

    Raises InputError for a missing file and for a torn, changed or foreign record, by its number.
    """
    try:
        stream = path.open("rb")
    except OSError as error:
        raise InputError(f"cannot read the shard {path}: {error.strerror}") from error
    with stream:
        for number, payload in enumerate(read_frames(stream, path.name)):
            try:
                record = ShardRecord.from_example(payload)
            except InputError as error:
                raise InputError(f"{path.name}: record {number}: {error.message}") from error
            yield record


def verify_shards(folder: Path, *, on_progress: Progress = silent) -> tuple[ShardIndex, list[ShardFault]]:
    """Read all shards of a folder and compare them with its index. Returns the index and what is wrong, by file.

    Raises InputError when there is no index.
    """
    index = read_index(folder)
    faults: list[ShardFault] = []
    for number, entry in enumerate(index.shards, 1):
        message = _fault_of(folder, entry, index)
        if message:
            faults.append(ShardFault(entry.file, message))
        on_progress(number, len(index.shards), entry.file)
    return index, faults


def _fault_of(folder: Path, entry: ShardEntry, index: ShardIndex) -> str | None:
    counts: Counter[str] = Counter()
    try:
        for number, record in enumerate(read_shard(folder / entry.file)):
            if hashlib.sha256(record.encoded).hexdigest() != record.sha256:
                return f"record {number} ({record.path}) does not have its sha256"
            if not 0 <= record.label < len(index.classes) or index.classes[record.label] != record.text:
                return f"record {number} ({record.path}) has the label {record.label} for {record.text!r}"
            counts[record.text] += 1
    except InputError as error:
        return error.message
    if dict(counts) != entry.counts:
        return f"it holds {counts.total():,} images; the index says {entry.records:,}, or other labels"
    return None if is_intact(folder, entry) else "its checksum is not the one in the index"
