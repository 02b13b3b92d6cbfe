"""Running one model over one split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cxr.bundle import Bundle
from cxr.compare.images import SplitImages, split_images
from cxr.compare.predictions.unfinished import Keeper, UnfinishedScores, absent_batches
from cxr.compare.predictors import Latency, Predictor, measure_latency, open_tried
from cxr.compare.predictors.base import Probabilities
from cxr.compare.predictors.latency import TIMED_RUNS
from cxr.errors import Interrupted
from cxr.manifests.manifest import Manifest
from cxr.progress import Progress

BATCH_IMAGES = 32


@dataclass(frozen=True, slots=True)
class Scored:
    """Probabilities float64 [images, classes] in the order of the manifest's rows, and the time for one image."""

    probabilities: Probabilities
    latency: Latency


def score(
    bundle: Bundle,
    manifest: Manifest,
    split: str,
    *,
    images: str | None,
    cache_dir: Path,
    unfinished: UnfinishedScores,
    on_progress: Progress,
) -> Scored:
    """Load the model, decode (or map) the split's images as it wants them, score them in batches, then time single
    images.

    What `unfinished` holds of an earlier call is not scored again, and what this one has scored is kept there until it
    is removed. Raises Interrupted, which says how many are kept, after Ctrl-C.
    """
    on_progress(0, len(manifest.split(split)), f"loading {bundle.info.name}")
    predictor = open_tried(bundle)
    pixels = split_images(
        manifest,
        split,
        bundle.info.preprocessing,
        images=images,
        cache_dir=cache_dir,
        on_progress=lambda done, total, note: on_progress(done, total, f"{note} for {bundle.info.name}"),
    )
    probabilities = score_images(predictor, bundle, pixels, unfinished, on_progress)
    return Scored(probabilities, measure_latency(predictor, pixels.batch(0, TIMED_RUNS)))


def try_models(bundles: Sequence[Bundle], on_progress: Progress) -> None:
    """Load each model and let it score a blank image, so that a runtime that is not installed or a model that cannot
    be run is found before the others have been scored for an hour. Raises what `open_tried` raises."""
    for number, bundle in enumerate(bundles):
        on_progress(number, len(bundles), f"trying {bundle.info.name}")
        open_tried(bundle)


def score_images(
    predictor: Predictor, bundle: Bundle, pixels: SplitImages, unfinished: UnfinishedScores, on_progress: Progress
) -> Probabilities:
    """Score all images in batches but those whose scores are kept, and keep the others now and then. Raises
    Interrupted after Ctrl-C."""
    note = f"scoring {bundle.info.name}"
    probabilities, there = unfinished.read(len(pixels), len(bundle.info.classes))
    on_progress(int(there.sum()), len(pixels), note)
    keeper = Keeper(unfinished)
    try:
        for start, stop in absent_batches(there, BATCH_IMAGES):
            probabilities[start:stop] = predictor.predict(pixels.batch(start, stop))
            there[start:stop] = True
            keeper.add(start, probabilities[start:stop])
            on_progress(int(there.sum()), len(pixels), note)
    except KeyboardInterrupt:
        keeper.flush()
        raise Interrupted(
            f"stopped by Ctrl-C: {int(there.sum()):,} of {len(pixels):,} images that {bundle.info.name} has scored are "
            "kept",
            hint="run the same command again to go on there",
        ) from None
    return probabilities
