"""The folder that shards are written into: what of an earlier run in it counts, and what has to go."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import google_crc32c

from cxr.errors import Fault, InputError, NotAllowed, UsageError
from cxr.files import CHUNK_BYTES
from cxr.manifests.shards.index import INDEX_NAME, ShardEntry, read_index
from cxr.manifests.shards.journal import JOURNAL_NAME, read_journal
from cxr.manifests.shards.plan import PlannedShard, ShardPlan

#: Left free on the disk.
RESERVE_BYTES: Final = 64 * 1024 * 1024
_SHARD_NAME: Final = re.compile(r"(train|validation|test)-[0-9]{5,}-of-[0-9]{5,}\.tfrecord")
_TEMPORARY: Final = re.compile(rf"\.({_SHARD_NAME.pattern}|{re.escape(INDEX_NAME)})\..*\.part")


def checksums_of(path: Path) -> tuple[str, str]:
    """sha256 (hex) and crc32c (base64) of a file's bytes, read once."""
    sha256, crc32c = hashlib.sha256(), google_crc32c.Checksum()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            sha256.update(chunk)
            crc32c.update(chunk)
    return sha256.hexdigest(), base64.b64encode(crc32c.digest()).decode("ascii")


def refuse_foreign_shards(folder: Path, plan: ShardPlan) -> None:
    """Raises UsageError when the folder holds shards that were not made from this plan.

    Shards are known by the names that this program gives them: other files are nobody's business here, and stay.
    """
    earlier = _earlier(folder)
    same_plan = earlier is not None and earlier[0] == plan.id
    planned = {shard.file for shard in plan.shards} if same_plan else set()
    names = (path.name for path in _files(folder))
    others = [name for name in names if _SHARD_NAME.fullmatch(name) and name not in planned]
    if not others and (same_plan or earlier is None):
        return
    what = f"such as {others[0]}" if others else "made from another manifest or with other options"
    raise UsageError(f"{folder} holds other shards, {what}", hint="name another --out, or add --force to replace them")


def remove_other_shards(folder: Path, plan: ShardPlan) -> None:
    """Remove an earlier plan's index, journal and shards; files that no shard command writes stay."""
    earlier = _earlier(folder)
    if earlier is not None and earlier[0] != plan.id:
        (folder / INDEX_NAME).unlink(missing_ok=True)
    planned = {shard.file for shard in plan.shards}
    for path in _files(folder):
        if _SHARD_NAME.fullmatch(path.name) and path.name not in planned:
            path.unlink()


def remove_temporaries(folder: Path) -> None:
    """Remove what a killed run has left half-written."""
    for path in _files(folder):
        if _TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def finished_shards(folder: Path, plan: ShardPlan) -> list[ShardEntry]:
    """The shards on record, of this plan, whose file still has its bytes and checksum."""
    earlier = _earlier(folder)
    if earlier is None or earlier[0] != plan.id:
        return []
    records = {shard.file: len(shard.rows) for shard in plan.shards}
    return [entry for entry in earlier[1] if entry.records == records.get(entry.file) and is_intact(folder, entry)]


def is_intact(folder: Path, entry: ShardEntry) -> bool:
    """Whether the entry's file is there with its bytes."""
    path = folder / entry.file
    try:
        return path.stat().st_size == entry.bytes and checksums_of(path) == (entry.sha256, entry.crc32c)
    except OSError:
        return False


def check_free_space(folder: Path, shards: Sequence[PlannedShard]) -> None:
    """Raises Fault when the shards will not fit on the disk."""
    needed = sum(shard.bytes for shard in shards)
    free = shutil.disk_usage(folder).free
    if needed and needed + RESERVE_BYTES > free:
        raise Fault(
            f"the shards need about {needed / 1e6:,.0f} MB, and {folder} has {free / 1e6:,.0f} MB free",
            hint="free some space, or name an --out on another disk",
        )


def make_folder(folder: Path) -> None:
    """Make the folder. Raises InputError when it cannot be one, NotAllowed without permission."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except PermissionError as error:
        raise NotAllowed(f"no permission to make {folder}") from error
    except OSError as error:
        raise InputError(f"{folder} cannot be a folder: {error.strerror}") from error


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() or path.is_symlink())


def _earlier(folder: Path) -> tuple[str, list[ShardEntry]] | None:
    # A journal is newer than an index: it goes when the index is written.
    journal = read_journal(folder) if (folder / JOURNAL_NAME).exists() else None
    if journal is not None or not (folder / INDEX_NAME).exists():
        return journal
    try:
        index = read_index(folder)
    except InputError:
        return "", []  # of no plan
    return index.plan, list(index.shards)
