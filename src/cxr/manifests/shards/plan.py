"""Which image goes into which shard: decided from the rows alone, before anything is read or written."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from cxr.errors import InputError, UsageError
from cxr.manifests.manifest import SPLITS, Manifest
from cxr.manifests.shards.framing import FRAME_BYTES

#: Raised whenever the bytes of shards made from the same manifest and options change.
FORMAT_VERSION: Final = 1
#: What a record adds to its image's bytes, roughly: names of features, path, patient, digest and frame.
RECORD_OVERHEAD: Final = 400 + FRAME_BYTES


@dataclass(frozen=True, slots=True)
class ShardOptions:
    """`shard_bytes` is the size a shard is planned for (at least one image is in each); `splits` are those to write,
    all that have images when empty; `task` is the view of the labels (None: as they are)."""

    shard_bytes: int = 100_000_000
    splits: tuple[str, ...] = ()
    task: str | None = None
    seed: int = 7


@dataclass(frozen=True)
class PlannedShard:
    """A file to be written and its rows, in the order of writing."""

    file: str
    split: str
    rows: pd.DataFrame

    @property
    def bytes(self) -> int:
        """About how many bytes the file will have."""
        return int(self.rows["size"].sum()) + RECORD_OVERHEAD * len(self.rows)


@dataclass(frozen=True)
class ShardPlan:
    """All shards of one manifest under the same options; `id` (sha256 in hex) names manifest, options and format."""

    id: str
    manifest: str
    classes: tuple[str, ...]
    options: ShardOptions
    shards: tuple[PlannedShard, ...]

    @property
    def records(self) -> int:
        """How many images the shards will hold."""
        return sum(len(shard.rows) for shard in self.shards)


def plan_shards(
    manifest: Manifest, options: ShardOptions | None = None, *, classes: Sequence[str] | None = None
) -> ShardPlan:
    """Plan the shards of a manifest that is already in the view of `options.task`. Reads no image.

    Within a split the rows are taken in the order of sha256(seed, path), so that labels and patients mix, and cut into
    runs of about equal bytes: a shard misses the split's mean by less than one image. The plan depends on rows and
    options alone; of the labels only the classes are in its id, which in another view of the manifest are those of
    `classes` (None: the manifest's own).

    Raises UsageError for a split that does not exist or a shard size that is not positive, InputError when a split to
    write has no images.
    """
    options = options or ShardOptions()
    if options.shard_bytes < 1:
        raise UsageError(f"a shard of {options.shard_bytes} bytes cannot be", hint="--shard-mb 100")
    splits = _checked_splits(manifest, options.splits)
    shards = [shard for split in splits for shard in _cut(split, manifest.split(split), options)]
    options = ShardOptions(options.shard_bytes, splits, options.task, options.seed)
    named = manifest.classes if classes is None else tuple(classes)
    identity = {
        "format": FORMAT_VERSION,
        "manifest": manifest.hash,
        "classes": named,
        "task": options.task,
        "splits": splits,
        "seed": options.seed,
        "shard_bytes": options.shard_bytes,
    }
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return ShardPlan(digest, manifest.hash, named, options, tuple(shards))


def _checked_splits(manifest: Manifest, asked: Sequence[str]) -> tuple[str, ...]:
    unknown = sorted(set(asked) - set(SPLITS))
    if unknown:
        raise UsageError(f"unknown split {unknown[0]!r}", hint=f"choose of: {', '.join(SPLITS)}")
    present = set(manifest.frame["split"].unique())
    empty = [split for split in SPLITS if split in asked and split not in present]
    if empty:
        raise InputError(f"the manifest has no {empty[0]} images", hint="make a split: cxr data split")
    splits = tuple(split for split in SPLITS if split in (asked or present))
    if not splits:
        raise InputError("no image of the manifest is in a split", hint="make a split: cxr data split")
    return splits


def _cut(split: str, rows: pd.DataFrame, options: ShardOptions) -> Iterator[PlannedShard]:
    draws = [_draw(options.seed, path) for path in rows["path"]]
    ordered = rows.iloc[sorted(range(len(rows)), key=draws.__getitem__)]
    sizes = ordered["size"].to_numpy(dtype=np.int64) + RECORD_OVERHEAD
    total = int(sizes.sum())
    count = min(len(rows), math.ceil(total / options.shard_bytes))
    # An image belongs to the shard in which its middle byte lies; a shard that gets none does not exist.
    middles = np.cumsum(sizes) - sizes // 2
    shard_of = np.minimum((middles / total * count).astype(np.int64), count - 1)
    _, starts = np.unique(shard_of, return_index=True)
    ends = [*starts[1:], len(rows)]
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        file = f"{split}-{number:05d}-of-{len(starts):05d}.tfrecord"
        yield PlannedShard(file, split, ordered.iloc[start:end])


def _draw(seed: int, path: str) -> bytes:
    return hashlib.sha256(f"{seed}\n{path}".encode()).digest()
