"""What exports are verified with: the golden images, and a split of the manifest, as pixels and as files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr.bundle import Preprocessing
from cxr.compare.images import split_images
from cxr.golden import golden_images
from cxr.local_baseline.images.cache import images_root
from cxr.local_baseline.images.preprocess import load_image
from cxr.manifests.manifest import Manifest
from cxr.progress import Progress


@dataclass(frozen=True)
class ImageSet:
    """Images as the contract wants them, uint8 [N, H, W, C], and the files they came from, in the same order (empty
    where they lie in a bucket)."""

    pixels: NDArray[np.uint8]
    files: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.pixels)


def golden_set(contract: Preprocessing) -> ImageSet:
    """Every golden image."""
    files = golden_images()
    return ImageSet(np.stack([load_image(path, contract) for path in files]), files)


def split_set(
    manifest: Manifest,
    split: str,
    contract: Preprocessing,
    *,
    images: str | None,
    cache_dir: Path,
    limit: int,
    on_progress: Progress,
) -> ImageSet:
    """At most `limit` images of a split, spread evenly over its rows."""
    decoded = split_images(manifest, split, contract, images=images, cache_dir=cache_dir, on_progress=on_progress)
    chosen = np.unique(np.linspace(0, len(decoded) - 1, min(limit, len(decoded))).round().astype(np.int64))
    place = images or images_root(manifest)
    names = manifest.frame["path"].to_numpy()[decoded.rows[chosen]]
    files = () if "://" in place else tuple(Path(place) / str(name) for name in names)
    return ImageSet(np.asarray(decoded.array[decoded.rows[chosen]]), files)
