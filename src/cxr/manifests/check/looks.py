"""One look at every image: a thumbnail and a histogram of its greys, for the shortcut probe and the page."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from cxr.manifests.manifest import Manifest
from cxr.manifests.scan.image_file import DECODE_ERRORS, FORMATS
from cxr.progress import Progress, silent

THUMBNAIL_SIDE: Final = 32
GREY_BINS: Final = 64
#: Images looked at, at most: enough for either purpose, and the memory stays small whatever the manifest's size.
MAX_LOOKS: Final = 20_000
#: A JPEG is decoded no larger than this needs (its decoder halves sizes nearly for free).
_DRAFT_SIDE: Final = 128
_FILES_PER_TASK: Final = 32


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """What was seen. `rows` are the positions in the manifest's frame of the images that could be read; `thumbnails`
    (n, 32, 32) uint8 squashed to a square; `greys` (n, 64) float32, each row the shares of 64 equal ranges from black
    to white. `tried` images were looked at of all `images`; the paths of those that are missing, have another size in
    bytes than the manifest says (they are looked at nevertheless), or do not decode."""

    rows: npt.NDArray[np.int64]
    thumbnails: npt.NDArray[np.uint8]
    greys: npt.NDArray[np.float32]
    tried: int
    images: int
    missing: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Look:
    trouble: str
    changed: bool = False
    thumbnail: npt.NDArray[np.uint8] | None = None
    greys: npt.NDArray[np.float32] | None = None


def look(manifest: Manifest, *, seed: int = 7, limit: int = MAX_LOOKS, on_progress: Progress = silent) -> Looks:
    """Look at all images, or at `limit` of them drawn by `seed`.

    Nothing about a file is fatal. Raises InputError when the images are in a bucket.
    """
    root = manifest.root
    rows = _drawn(manifest.frame, seed, limit)
    tasks = [
        [(root / path, int(size)) for path, size in zip(part["path"], part["size"], strict=True)]
        for part in (
            manifest.frame.iloc[rows[at : at + _FILES_PER_TASK]] for at in range(0, len(rows), _FILES_PER_TASK)
        )
    ]
    seen = _look_at_all(tasks, len(rows), on_progress)
    paths = manifest.frame["path"].to_numpy()[rows]

    def troubled(kind: str) -> tuple[str, ...]:
        return tuple(path for path, one in zip(paths, seen, strict=True) if one.trouble == kind)

    good = [one for one in seen if one.thumbnail is not None]
    return Looks(
        rows=rows[[one.thumbnail is not None for one in seen]] if seen else rows,
        thumbnails=np.array([one.thumbnail for one in good], np.uint8).reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE),
        greys=np.array([one.greys for one in good], np.float32).reshape(-1, GREY_BINS),
        tried=len(rows),
        images=len(manifest.frame),
        missing=troubled("missing"),
        changed=tuple(path for path, one in zip(paths, seen, strict=True) if one.changed),
        unreadable=troubled("unreadable"),
    )


def grey(image: Image.Image) -> Image.Image:
    """The image as 8-bit grey; 16 bits are brought down to 8, not cut off."""
    if image.mode.startswith("I") or image.mode == "F":
        pixels = np.asarray(image, dtype=np.float64)
        # Radiographs of 9 to 16 bits come without word of which: the brightest pixel tells.
        top = max(255.0, float(2 ** np.ceil(np.log2(max(pixels.max(), 1) + 1)) - 1))
        return Image.fromarray((pixels.clip(0, top) * (255 / top)).astype(np.uint8))
    if image.mode in {"RGBA", "LA", "PA", "P"}:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
    return image.convert("L")


def _drawn(frame: pd.DataFrame, seed: int, limit: int) -> npt.NDArray[np.int64]:
    if len(frame) <= limit:
        return np.arange(len(frame), dtype=np.int64)
    return np.sort(np.random.default_rng(seed).choice(len(frame), limit, replace=False))


def _look_at_all(tasks: Sequence[Sequence[tuple[Path, int]]], total: int, on_progress: Progress) -> list[_Look]:
    # Threads: reading and decoding release the interpreter lock.
    Image.init()
    seen: list[_Look] = []
    with warnings.catch_warnings(), ThreadPoolExecutor(max_workers=min(32, 2 * (os.cpu_count() or 1))) as pool:
        warnings.simplefilter("ignore")  # Pillow's remarks on odd tags; the scan has told what matters
        try:
            for batch in pool.map(_look_at_batch, tasks):
                seen += batch
                on_progress(len(seen), total, "")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return seen


def _look_at_batch(batch: Sequence[tuple[Path, int]]) -> list[_Look]:
    return [_look_at(path, size) for path, size in batch]


def _look_at(path: Path, size: int) -> _Look:
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return _Look("missing")
    except OSError:
        return _Look("unreadable")
    changed = size not in {0, len(data)}
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            image.draft("L", (_DRAFT_SIDE, _DRAFT_SIDE))
            plain = grey(image)
        thumbnail = plain.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX)
        # 256 counts of single greys, four to a bin.
        counts = np.array(plain.histogram(), np.float64).reshape(GREY_BINS, -1).sum(axis=1)
    except DECODE_ERRORS:
        return _Look("unreadable", changed)
    return _Look("", changed, np.asarray(thumbnail, np.uint8), (counts / counts.sum()).astype(np.float32))
