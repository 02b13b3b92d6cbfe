"""What exports are verified with: the golden images, and a split of the manifest, as pixels and as files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr.bundle import Preprocessing
from cxr.compare.images import split_images
from cxr.golden import INEXACT, golden_images
from cxr.local_baseline.images.cache import Progress, images_root
from cxr.local_baseline.images.preprocess import load_image
from cxr.manifests.manifest import Manifest

#: Kinds of file that TensorFlow's decoders take, in 8 bits.
TENSORFLOW_READS = {".jpeg", ".jpg", ".png"}
#: Golden files that TensorFlow decodes to other levels than Pillow does: it keeps the upper 8 of 16 bits.
NOT_TENSORFLOWS = {"grey-16-bit.png"}


@dataclass(frozen=True)
class ImageSet:
    """Images as the contract wants them, uint8 [N, H, W, C], and the files they came from, in the same order (empty
    where they lie in a bucket)."""

    pixels: NDArray[np.uint8]
    files: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.pixels)


def golden_set(contract: Preprocessing) -> ImageSet:
    """Every golden image whose decoding is defined to the last level."""
    files = tuple(path for path in golden_images() if path.name not in INEXACT)
    return ImageSet(np.stack([load_image(path, contract) for path in files]), files)


def for_tensorflow(golden: ImageSet) -> ImageSet:
    """Those that TensorFlow decodes alike."""
    kept = [
        number
        for number, path in enumerate(golden.files)
        if path.suffix in TENSORFLOW_READS and path.name not in NOT_TENSORFLOWS
    ]
    return ImageSet(golden.pixels[kept], tuple(golden.files[number] for number in kept))


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
