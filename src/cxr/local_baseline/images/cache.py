"""Every image of a manifest decoded once: a memory-mapped uint8 array on disk that training reads at no cost.

The file's name is the digest of what the manifest knows of the images and of the preprocessing contract, and every
image is held against what is known of it before it is decoded, so a cache cannot be stale. It
is filled as rows are asked for (row_file.py): a process that was killed is continued by the next, two at once wait for
each other, and a damaged row is decoded again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np

from cxr.bundle import Preprocessing
from cxr.errors import Fault, InputError
from cxr.local_baseline.images.image_source import Encoded, ImageSource, NamedImages, Source, reader
from cxr.local_baseline.images.image_source import images_root as images_root
from cxr.local_baseline.images.preprocess import Pixels, load_image
from cxr.local_baseline.images.row_file import RowFile, Rows, claim_space, new_rows, only_one, open_rows
from cxr.local_baseline.images.shard_source import sharded_images
from cxr.manifests.manifest import Manifest
from cxr.progress import Progress, Say

#: Chunks that wait for each decoding thread: what bounds the memory for encoded images.
CHUNKS_AHEAD = 2
DECODING = "decoding"
WAITING = "another process is decoding"


def cached_images(
    manifest: Manifest,
    images: str,
    contract: Preprocessing,
    cache_dir: Path,
    on_progress: Progress,
    *,
    rows: Rows | None = None,
    verify: bool = False,
    say: Say = lambda line: None,
) -> Pixels:
    """All images of `manifest`, in the order of its rows: uint8 [rows, height, width, channels], memory-mapped
    read-only. Only `rows` of it are sure to be there (None: all).

    `images` is the folder (or gs:// URL) that the manifest's paths are relative to, or the place of its shards. What
    is not in the file yet is decoded; what is there is compared with its checksums (of more than a gigabyte a part,
    unless `verify`), and decoded again when it is damaged, which `say` hears. Raises InputError naming the image that
    is missing, broken or not the one the manifest describes; Fault when the disk is full.
    """
    frame = manifest.frame
    known = frame[["path", "sha256", "md5", "crc32c"]]
    sources = [Source(*row) for row in known.itertuples(index=False, name=None)]
    return decoded_images(
        sources,
        lambda: image_source(manifest, images),
        contract,
        cache_path(manifest, contract, cache_dir),
        on_progress,
        rows=rows,
        verify=verify,
        say=say,
    )


def cache_path(manifest: Manifest, contract: Preprocessing, cache_dir: Path) -> Path:
    """Where the decoded images of a manifest lie for a contract: however the same images are split or labelled, it is
    the same file."""
    return cache_dir / f"{images_digest(manifest)[:16]}-{contract.key}.npy"


def images_digest(manifest: Manifest) -> str:
    """sha256 (hex) of the images in their order, by path and by what is known of their bytes."""
    rows = manifest.frame[["path", "size", "sha256", "md5", "crc32c"]]
    return hashlib.sha256(rows.to_csv(index=False, lineterminator="\n").encode()).hexdigest()


def image_source(manifest: Manifest, images: str) -> ImageSource:
    """The manifest's images at a folder or URL: in shards if there are any, else as files."""
    shards = sharded_images(manifest, images)
    if shards is not None:
        return shards
    read, workers = reader(images)
    return NamedImages(list(manifest.frame["path"]), read, workers)


def decoded_images(
    sources: Sequence[Source],
    open_source: Callable[[], ImageSource],
    contract: Preprocessing,
    path: Path,
    on_progress: Progress,
    *,
    rows: Rows | None = None,
    verify: bool = False,
    say: Say = lambda line: None,
) -> Pixels:
    """The array at `path` with (at least) `rows` of `sources` in it; see `cached_images`. `open_source` is called only
    when something has to be decoded."""
    shape = (len(sources), contract.height, contract.width, contract.channels)
    wanted = np.arange(len(sources)) if rows is None else np.unique(rows)
    file = open_rows(path, shape)
    if file is not None and not len(file.absent(wanted)) and not len(file.damaged(wanted, every=verify)):
        return file.pixels
    with only_one(path, lambda: on_progress(*_filled(path, shape, wanted), WAITING)):
        file = _writable(path, shape, wanted, verify, say)
        absent = file.absent(wanted)
        if len(absent):
            claim_space(path, file, absent)
            _decode_all(sources, open_source(), contract, file, absent, len(wanted), on_progress)
        del file
    ready = open_rows(path, shape)
    if ready is None or len(ready.absent(wanted)):
        raise Fault(f"the image cache {path} was removed while it was filled", hint="run the same command again")
    return ready.pixels


def _filled(path: Path, shape: tuple[int, ...], wanted: Rows) -> tuple[int, int]:
    file = open_rows(path, shape)
    return len(wanted) - (len(wanted) if file is None else len(file.absent(wanted))), len(wanted)


def _writable(path: Path, shape: tuple[int, ...], wanted: Rows, verify: bool, say: Say) -> RowFile:
    """The file open for writing, its damaged rows forgotten."""
    file = open_rows(path, shape) and open_rows(path, shape, writable=True)
    if file is None:
        if path.exists():
            say(f"the image cache {path} is damaged: it is made anew")
        return new_rows(path, shape)
    damaged = file.damaged(wanted, every=verify)
    if len(damaged):
        # Where some are damaged others may be, among those that were not looked at.
        damaged = file.damaged(wanted, every=True)
        say(f"{len(damaged)} images of the cache {path} are damaged: they are decoded again")
        file.sums[damaged] = 0
    return file


def _decode_all(
    sources: Sequence[Source],
    source: ImageSource,
    contract: Preprocessing,
    file: RowFile,
    rows: Rows,
    total: int,
    on_progress: Progress,
) -> None:
    def decode(chunk: list[Encoded]) -> int:
        for image in chunk:
            file.put(image.row, _decode(sources[image.row], image.read(), contract))
        return len(chunk)

    done = total - len(rows)
    on_progress(done, total, DECODING)
    with ThreadPoolExecutor(source.workers, thread_name_prefix="decode") as pool:
        pending: set[Future[int]] = set()
        try:
            for chunk in source.chunks(rows):
                pending.add(pool.submit(decode, chunk))
                while len(pending) >= source.workers * (1 + CHUNKS_AHEAD):
                    done, pending = _collect(done, pending)
                    on_progress(done, total, DECODING)
            while pending:
                done, pending = _collect(done, pending)
                on_progress(done, total, DECODING)
        finally:
            for future in pending:
                future.cancel()


def _collect(done: int, pending: set[Future[int]]) -> tuple[int, set[Future[int]]]:
    finished, rest = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
    return done + sum(future.result() for future in finished), rest


def _decode(source: Source, data: bytes, contract: Preprocessing) -> Pixels:
    if other := source.differs(data):
        raise InputError(
            f"{source.name} is not the file that the manifest describes (its {other} differs)",
            hint="scan the folder again: cxr data scan DIR",
        )
    return load_image(data, contract, name=source.name)
