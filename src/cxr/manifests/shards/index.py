"""The index beside the shards: which files there are, what is in them, and who reads which."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from cxr.documents import parse_json
from cxr.errors import InputError, UsageError
from cxr.files import write_text_atomically
from cxr.manifests.manifest import SPLITS
from cxr.manifests.shards.plan import ShardPlan
from cxr.manifests.shards.shard_record import FEATURES

SCHEMA_VERSION: Final = 1
INDEX_NAME: Final = "index.json"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """One finished shard: its file's name, records, bytes, sha256 (hex), crc32c (base64, as Cloud Storage lists it) and
    images by class."""

    file: str
    split: str
    records: int
    bytes: int
    sha256: str
    crc32c: str
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """What `index.json` says. `plan` is the ShardPlan's id, `manifest` the manifest's content hash."""

    plan: str
    manifest: str
    task: str | None
    classes: tuple[str, ...]
    seed: int
    shard_bytes: int
    shards: tuple[ShardEntry, ...]

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have shards."""
        return tuple(split for split in SPLITS if any(shard.split == split for shard in self.shards))

    def of(self, split: str, *, worker: int = 0, workers: int = 1) -> tuple[ShardEntry, ...]:
        """The shards of a split that one of `workers` workers (numbered from 0) reads: each shard goes to one worker.

        Raises UsageError for a worker that there is not.
        """
        if not 0 <= worker < workers:
            raise UsageError(f"there is no worker {worker} among {workers} (they are counted from 0)")
        return tuple(shard for shard in self.shards if shard.split == split)[worker::workers]

    def to_json(self) -> dict[str, Any]:
        """The index as it is written: no time and no machine in it, so that the same shards have the same index."""
        return {
            "schema_version": SCHEMA_VERSION,
            "plan": self.plan,
            "manifest": self.manifest,
            "task": self.task,
            "classes": list(self.classes),
            "seed": self.seed,
            "shard_bytes": self.shard_bytes,
            "features": dict(FEATURES),
            "splits": {split: _split_json(self.of(split)) for split in self.splits},
        }


def index_of(plan: ShardPlan, entries: Sequence[ShardEntry]) -> ShardIndex:
    """The index of a plan's finished shards, in the plan's order."""
    by_file = {entry.file: entry for entry in entries}
    return ShardIndex(
        plan=plan.id,
        manifest=plan.manifest,
        task=plan.options.task,
        classes=plan.classes,
        seed=plan.options.seed,
        shard_bytes=plan.options.shard_bytes,
        shards=tuple(by_file[shard.file] for shard in plan.shards),
    )


def write_index(index: ShardIndex, folder: Path) -> None:
    """Write `index.json`, whole or not at all."""
    write_text_atomically(folder / INDEX_NAME, json.dumps(index.to_json(), indent=1, ensure_ascii=False) + "\n")


def read_index(folder: Path) -> ShardIndex:
    """Read `index.json` of a folder of shards. Raises InputError when there is none or it is not one."""
    path = folder / INDEX_NAME
    try:
        raw = parse_json(path.read_text(encoding="utf-8"))
        if raw["schema_version"] != SCHEMA_VERSION:
            raise InputError(f"{path} has schema version {raw['schema_version']}; this cxr reads {SCHEMA_VERSION}")
        entries = [
            entry_from_json({**shard, "split": split})
            for split, shards in raw["splits"].items()
            for shard in shards["shards"]
        ]
        return ShardIndex(
            plan=_checked(raw, "plan", str),
            manifest=_checked(raw, "manifest", str),
            task=None if raw["task"] is None else _checked(raw, "task", str),
            classes=tuple(_checked({"class": name}, "class", str) for name in _checked(raw, "classes", list)),
            seed=_checked(raw, "seed", int),
            shard_bytes=_checked(raw, "shard_bytes", int),
            shards=tuple(entries),
        )
    except FileNotFoundError:
        raise InputError(
            f"there is no index of shards {path}", hint=f"write the shards: cxr data shard --out {folder}"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not an index of shards: {error!r}") from error


def entry_from_json(raw: dict[str, Any]) -> ShardEntry:
    """One shard as the index and the journal have it. Raises ValueError, KeyError or TypeError for anything else."""
    entry = ShardEntry(
        file=_checked(raw, "file", str),
        split=_checked(raw, "split", str),
        records=_checked(raw, "records", int),
        bytes=_checked(raw, "bytes", int),
        sha256=_checked(raw, "sha256", str),
        crc32c=_checked(raw, "crc32c", str),
        counts={str(label): _checked(raw["counts"], label, int) for label in _checked(raw, "counts", dict)},
    )
    if Path(entry.file).name != entry.file:
        raise ValueError(f"{entry.file!r} is not a file's name")
    if entry.split not in SPLITS:
        raise ValueError(f"{entry.split!r} is not a split")
    return entry


def _checked(raw: Mapping[str, Any], name: str, kind: type[_T]) -> _T:
    value = raw[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}")
    return value


def _split_json(shards: Sequence[ShardEntry]) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for shard in shards:
        for label, count in shard.counts.items():
            counts[label] = counts.get(label, 0) + count
    return {
        "records": sum(shard.records for shard in shards),
        "bytes": sum(shard.bytes for shard in shards),
        "counts": dict(sorted(counts.items())),
        "shards": [{name: value for name, value in asdict(shard).items() if name != "split"} for shard in shards],
    }
