"""Training images by which the ranges of 8-bit models are set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from cxr.bundle import Preprocessing
from cxr.errors import InputError
from cxr.local_baseline.images.cache import cached_images
from cxr.local_baseline.images.preprocess import Pixels
from cxr.manifests.manifest import Manifest
from cxr.progress import Progress, Say

DEFAULT_IMAGES = 200
#: Which images are drawn, whatever else has a seed.
SEED = 7
TRAIN = "train"


def representative_rows(manifest: Manifest, count: int) -> npt.NDArray[np.int64]:
    """`count` rows of the train split (all, where it has no more), each class in its share, at least one of each, in
    the order of the file. Raises InputError for a manifest without a train split."""
    frame = manifest.frame
    rows = np.flatnonzero((frame["split"] == TRAIN).to_numpy())
    if not len(rows):
        raise InputError(
            "the manifest has no training images, by which the ranges of 8-bit formats are set",
            hint="cxr data split, or name the manifest of the training: --manifest FILE",
        )
    labels = frame["label"].to_numpy()[rows]
    rng = np.random.default_rng(SEED)
    chosen = []
    for label in np.unique(labels):
        of_label = rows[labels == label]
        share = max(1, round(count * len(of_label) / len(rows)))
        chosen.append(rng.permutation(of_label)[:share])
    return np.sort(np.concatenate(chosen))


def representative_images(
    manifest: Manifest,
    images: str,
    contract: Preprocessing,
    count: int,
    cache_dir: Path,
    on_progress: Progress,
    say: Say,
) -> Pixels:
    """`representative_rows` as the contract makes them, uint8 [N, H, W, C]; only these are decoded."""
    rows = representative_rows(manifest, count)
    pixels = cached_images(manifest, images, contract, cache_dir, on_progress, rows=rows, say=say)
    return np.asarray(pixels[rows], dtype=np.uint8)
