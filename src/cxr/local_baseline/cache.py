"""Every image of a manifest decoded once: a memory-mapped uint8 array on disk that training reads at no cost.

The file's name is the digest of the images and of the preprocessing contract, so a cache can never be stale; it is
written under a temporary name and renamed when it is whole.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cxr.bundle import Preprocessing
from cxr.errors import Fault, InputError
from cxr.files import atomic_path
from cxr.local_baseline.preprocess import Pixels, load_image
from cxr.local_baseline.tensorflow_setup import cpu_count
from cxr.manifests.manifest import Manifest

#: Reading from a bucket is waiting, not computing: more threads than cores.
BUCKET_WORKERS = 16
#: Images a worker does before it reports.
SLICE = 32

Read = Callable[[str], bytes]
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Source:
    """One image to be decoded: the name to read it by, and its sha256 in hex (empty: not checked)."""

    name: str
    sha256: str = ""


def cached_images(
    manifest: Manifest, images: str, contract: Preprocessing, cache_dir: Path, on_progress: Progress
) -> Pixels:
    """All images of `manifest`, in the order of its rows: uint8 [rows, height, width, channels], memory-mapped
    read-only.

    `images` is the folder (or gs:// URL) that the manifest's paths are relative to. The first call decodes, the next
    ones map the file. Raises InputError naming the image that is missing, broken or not the one the manifest
    describes.
    """
    path = cache_path(manifest, contract, cache_dir)
    shape = (len(manifest.frame), contract.height, contract.width, contract.channels)
    if not _is_whole(path, shape):
        sources = [Source(*row) for row in manifest.frame[["path", "sha256"]].itertuples(index=False, name=None)]
        read, workers = reader(images)
        write_array(sources, read, contract, path, on_progress, workers=workers)
    return open_array(path)


def cache_path(manifest: Manifest, contract: Preprocessing, cache_dir: Path) -> Path:
    """Where the decoded images of a manifest lie for a contract: however the same images are split or labelled, it is
    the same file."""
    return cache_dir / f"{images_digest(manifest)[:16]}-{contract.key}.npy"


def images_digest(manifest: Manifest) -> str:
    """sha256 (hex) of the images in their order, by path and by what is known of their bytes."""
    rows = manifest.frame[["path", "size", "sha256", "md5", "crc32c"]]
    return hashlib.sha256(rows.to_csv(index=False, lineterminator="\n").encode()).hexdigest()


def open_array(path: Path) -> Pixels:
    """Map a cache file read-only."""
    return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]


def write_array(
    sources: Sequence[Source],
    read: Read,
    contract: Preprocessing,
    path: Path,
    on_progress: Progress,
    *,
    workers: int,
) -> None:
    """Decode `sources` in parallel into `path` (.npy, uint8 [sources, height, width, channels]), whole or not at
    all."""
    shape = (len(sources), contract.height, contract.width, contract.channels)
    with atomic_path(path) as temporary:
        array = _new_array(temporary, shape)
        _decode_all(sources, read, contract, array, on_progress, workers)
        del array  # unmapped, and so written, before the rename


def images_root(manifest: Manifest) -> str:
    """The folder or URL that the manifest itself says its images are in."""
    root = manifest.header.root
    return root if "://" in root else str(manifest.root)


def reader(images: str) -> tuple[Read, int]:
    """How to read an image's bytes below `images` (a folder or a gs:// URL), and by how many threads at once."""
    if "://" in images:
        # Google's client takes a second to import; a folder does not need it.
        from cxr.storage import open_store

        return open_store(images, workers=BUCKET_WORKERS).get_bytes, BUCKET_WORKERS
    root = Path(images)
    if not root.is_dir():
        raise InputError(f"there is no folder of images {root}", hint="say where they are: --images DIR")
    return lambda name: read_local(root / name), cpu_count()


def read_local(path: Path) -> bytes:
    """A file's bytes. Raises InputError when it is not there, Fault when it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"the image {path} is not there", hint="scan the folder again: cxr data scan DIR") from None
    except OSError as error:
        raise Fault(f"cannot read {path}: {error.strerror or error}") from error


def _new_array(path: Path, shape: tuple[int, int, int, int]) -> Pixels:
    try:
        array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
        _reserve(path)
    except OSError as error:
        raise Fault(f"cannot write the image cache {path.parent}: {error.strerror or error}") from error
    return array


def _reserve(path: Path) -> None:
    """Claim the disk space now: a full disk found while writing through the map would kill the process (SIGBUS)."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as stream:
            os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)


def _decode_all(
    sources: Sequence[Source], read: Read, contract: Preprocessing, array: Pixels, on_progress: Progress, workers: int
) -> None:
    slices = [range(start, min(start + SLICE, len(sources))) for start in range(0, len(sources), SLICE)]

    def decode(rows: range) -> int:
        for row in rows:
            array[row] = _decode(sources[row], read, contract)
        return len(rows)

    done = 0
    on_progress(0, len(sources), "decoding")
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        pending = {pool.submit(decode, rows) for rows in slices}
        try:
            while pending:
                finished, pending = wait(pending, timeout=0.2, return_when=FIRST_EXCEPTION)
                done += sum(future.result() for future in finished)
                on_progress(done, len(sources), "decoding")
        finally:
            for future in pending:
                future.cancel()


def _decode(source: Source, read: Read, contract: Preprocessing) -> Pixels:
    data = read(source.name)
    if source.sha256 and hashlib.sha256(data).hexdigest() != source.sha256:
        raise InputError(
            f"{source.name} is not the file that the manifest describes (its sha256 differs)",
            hint="scan the folder again: cxr data scan DIR",
        )
    return load_image(data, contract, name=source.name)


def _is_whole(path: Path, shape: tuple[int, int, int, int]) -> bool:
    try:
        array = open_array(path)
    except (FileNotFoundError, ValueError, EOFError):
        return False
    return array.shape == shape and array.dtype == np.uint8
