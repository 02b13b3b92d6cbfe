"""The images of one split as a model wants them: decoded once, memory-mapped, shared with training where it has
decoded them already."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr.bundle import Preprocessing
from cxr.compare.predictors.base import Images
from cxr.local_baseline.cache import Progress, Source, cache_path, images_root, open_array, reader, write_array
from cxr.manifests.manifest import Manifest


@dataclass(frozen=True, slots=True)
class SplitImages:
    """Rows `rows` of a memory-mapped array uint8 [images, H, W, C]: read batch by batch, never as a whole."""

    array: Images
    rows: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, start: int, stop: int) -> Images:
        """Images `start` to `stop` (not included) of the split, uint8 [n, H, W, C]."""
        return self.array[self.rows[start:stop]]


def split_images(
    manifest: Manifest,
    split: str,
    contract: Preprocessing,
    *,
    images: str | None,
    cache_dir: Path,
    on_progress: Progress,
) -> SplitImages:
    """The images of `split` in the order of the manifest's rows.

    `images` is the folder (or gs:// URL) that the manifest's paths are relative to; None means the manifest's own
    root. Raises InputError naming the image that is missing, broken, or not the one that the manifest describes.
    """
    rows = manifest.split(split)
    shape = (contract.height, contract.width, contract.channels)
    everything = cache_path(manifest, contract, cache_dir)
    array = _mapped(everything, (len(manifest.frame), *shape))
    if array is not None:
        return SplitImages(array, rows.index.to_numpy(dtype=np.intp))
    path = everything.with_suffix(f".{split}.npy")
    if _mapped(path, (len(rows), *shape)) is None:
        sources = [Source(*row) for row in rows[["path", "sha256"]].itertuples(index=False, name=None)]
        read, workers = reader(images or images_root(manifest))
        write_array(sources, read, contract, path, on_progress, workers=workers)
    return SplitImages(open_array(path), np.arange(len(rows)))


def _mapped(path: Path, shape: tuple[int, ...]) -> Images | None:
    try:
        array = open_array(path)
    except (FileNotFoundError, ValueError, EOFError):
        return None
    return array if array.shape == shape and array.dtype == np.uint8 else None
