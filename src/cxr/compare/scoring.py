"""Running one model over one split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cxr.bundle import Bundle
from cxr.compare.images import split_images
from cxr.compare.predictors import measure_latency_ms, open_predictor
from cxr.compare.predictors.base import Probabilities
from cxr.compare.predictors.latency import TIMED_RUNS
from cxr.local_baseline.images.cache import Progress
from cxr.manifests.manifest import Manifest

BATCH_IMAGES = 32


@dataclass(frozen=True, slots=True)
class Scored:
    """Probabilities float64 [images, classes] in the order of the manifest's rows, and milliseconds for one image."""

    probabilities: Probabilities
    latency_ms: float


def score(
    bundle: Bundle, manifest: Manifest, split: str, *, images: str | None, cache_dir: Path, on_progress: Progress
) -> Scored:
    """Decode (or map) the split's images as the bundle wants them, score them in batches, then time single images."""
    pixels = split_images(
        manifest,
        split,
        bundle.info.preprocessing,
        images=images,
        cache_dir=cache_dir,
        on_progress=lambda done, total, note: on_progress(done, total, f"{note} for {bundle.info.name}"),
    )
    on_progress(0, len(pixels), f"loading {bundle.info.name}")
    predictor = open_predictor(bundle)
    probabilities = np.empty((len(pixels), len(bundle.info.classes)), dtype=np.float64)
    for start in range(0, len(pixels), BATCH_IMAGES):
        stop = min(start + BATCH_IMAGES, len(pixels))
        probabilities[start:stop] = predictor.predict(pixels.batch(start, stop))
        on_progress(stop, len(pixels), f"scoring {bundle.info.name}")
    return Scored(probabilities, measure_latency_ms(predictor, pixels.batch(0, TIMED_RUNS)))
