"""Images out of TFRecord shards (`cxr data shard`), in a folder or a bucket: each shard is read once, from beginning to
end, and only if a wanted row lies in it.

Which row is in which shard, and where, follows from the manifest and the index alone, as when the shards were written.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import numpy as np

from cxr.documents import parse_json
from cxr.errors import CxrError, InputError, NotFound, UsageError
from cxr.local_baseline.images.image_source import CHUNK_IMAGES, Encoded
from cxr.local_baseline.images.row_file import Rows
from cxr.local_baseline.tensorflow_setup import cpu_count
from cxr.manifests.manifest import Manifest
from cxr.manifests.shards import INDEX_NAME, ShardIndex, ShardOptions, ShardRecord, plan_shards, read_index
from cxr.manifests.shards.framing import read_frames
from cxr.storage import open_store


@dataclass(frozen=True)
class ShardedImages:
    """The shards at `location` (a folder or URL): `rows_of` are the manifest's rows in each file, in its order."""

    location: str
    index: ShardIndex
    rows_of: dict[str, Rows]
    paths: list[str]

    @property
    def workers(self) -> int:
        """Threads that decode; reading is one more."""
        return cpu_count()

    def chunks(self, rows: Rows) -> Iterator[list[Encoded]]:
        """See ImageSource. Raises InputError for a shard that is absent, damaged or not what the index says, and for
        rows that are in no shard."""
        wanted = set(rows.tolist())
        files = [file for file, inside in self.rows_of.items() if not wanted.isdisjoint(inside.tolist())]
        missing = wanted.difference(*(self.rows_of[file].tolist() for file in files))
        if missing:
            raise InputError(
                f"{self.paths[min(missing)]} is in no shard of {self.location}",
                hint="write shards of all splits: cxr data shard",
            )
        with ThreadPoolExecutor(1, thread_name_prefix="shard") as ahead:
            fetched = ahead.submit(self._open, files[0]) if files else None
            for number, file in enumerate(files):
                assert fetched is not None
                stream = fetched.result()
                fetched = ahead.submit(self._open, files[number + 1]) if number + 1 < len(files) else None
                with stream:
                    yield from self._chunks_of(file, stream, wanted)

    def owners(self, split: str, rows: Rows, workers: int) -> Rows:
        """Which of `workers` workers (from 0) reads each of `rows`, all of `split`: whole shards are dealt out in turn.

        Raises UsageError when there are fewer shards than workers.
        """
        shards = self.index.of(split)
        if len(shards) < workers:
            raise UsageError(
                f"{len(shards)} shards of {split} cannot be shared by {workers} machines",
                hint="write smaller ones: cxr data shard --shard-mb N",
            )
        owner = np.full(len(self.paths), -1, np.int64)
        for worker in range(workers):
            for shard in self.index.of(split, worker=worker, workers=workers):
                owner[self.rows_of[shard.file]] = worker
        return owner[rows]

    def _open(self, file: str) -> BinaryIO:
        if "://" in self.location:
            return io.BytesIO(open_store(self.location).get_bytes(file))
        try:
            return (Path(self.location) / file).open("rb")
        except OSError as error:
            raise InputError(f"cannot read the shard {file} of {self.location}: {error.strerror}") from error

    def _chunks_of(self, file: str, stream: BinaryIO, wanted: set[int]) -> Iterator[list[Encoded]]:
        inside = self.rows_of[file]
        chunk: list[Encoded] = []
        count = 0
        for payload in read_frames(stream, file):
            if count == len(inside):
                raise InputError(f"the shard {file} holds more images than its index says")
            row = int(inside[count])
            count += 1
            if row not in wanted:
                continue
            record = ShardRecord.from_example(payload)
            if record.path != self.paths[row]:
                raise InputError(f"the shard {file} holds {record.path} where {self.paths[row]} should be")
            chunk.append(Encoded(row, _given(record.encoded)))
            if len(chunk) == CHUNK_IMAGES:
                yield chunk
                chunk = []
        if count < len(inside):
            raise InputError(f"the shard {file} ends after {count} images; its index says {len(inside)}")
        yield chunk


def sharded_images(manifest: Manifest, location: str) -> ShardedImages | None:
    """The shards at `location`; None when what lies there are no shards. They may be of another task's view of the
    manifest: only their images are read.

    Raises InputError when they were made of another manifest.
    """
    index = _index_at(location)
    if index is None:
        return None
    options = ShardOptions(index.shard_bytes, index.splits, index.task, index.seed)
    if index.manifest != manifest.hash:
        raise InputError(
            f"the shards at {location} are of another manifest (theirs {index.manifest[:12]}, "
            f"this one {manifest.hash[:12]})",
            hint="write them again: cxr data shard",
        )
    plan = plan_shards(manifest, options, classes=index.classes)
    if plan.id != index.plan:
        raise InputError(
            f"the shards at {location} are divided otherwise than this program would divide the manifest",
            hint="write them again: cxr data shard",
        )
    rows_of = {shard.file: shard.rows.index.to_numpy(np.int64) for shard in plan.shards}
    return ShardedImages(location.rstrip("/"), index, rows_of, list(manifest.frame["path"]))


def _index_at(location: str) -> ShardIndex | None:
    text = _index_text(location)
    try:
        if text is None or "shard_bytes" not in parse_json(text):
            return None
    except (ValueError, TypeError):
        return None
    with TemporaryDirectory(prefix="cxr-shards-") as folder:
        (Path(folder) / INDEX_NAME).write_bytes(text)
        try:
            return read_index(Path(folder))
        except CxrError as error:
            raise InputError(error.message.replace(folder, location), hint=error.hint) from error


def _index_text(location: str) -> bytes | None:
    if "://" not in location:
        path = Path(location) / INDEX_NAME
        return path.read_bytes() if path.is_file() else None
    try:
        return open_store(location).get_bytes(INDEX_NAME)
    except NotFound:
        return None


def _given(data: bytes) -> Callable[[], bytes]:
    return lambda: data
