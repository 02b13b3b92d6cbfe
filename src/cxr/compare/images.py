"""The images of one split as a model wants them: decoded once, memory-mapped, shared with training where it has
decoded them already."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr.bundle import Preprocessing
from cxr.compare.predictors.base import Images
from cxr.local_baseline.images.cache import cached_images, images_root
from cxr.manifests.manifest import Manifest
from cxr.progress import Progress


@dataclass(frozen=True, slots=True)
class SplitImages:
    """Rows `rows` of a memory-mapped array uint8 [images, H, W, C]: read batch by batch, never as a whole."""

    array: Images
    rows: NDArray[np.int64]

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
    """The images of `split` in the order of the manifest's rows; only they are decoded, if they are not yet.

    `images` is the folder (or gs:// URL) that the manifest's paths are relative to; None means the manifest's own
    root. Raises InputError naming the image that is missing, broken, or not the one that the manifest describes.
    """
    rows = manifest.split(split).index.to_numpy(dtype=np.int64)
    place = images or images_root(manifest)
    return SplitImages(cached_images(manifest, place, contract, cache_dir, on_progress, rows=rows), rows)
