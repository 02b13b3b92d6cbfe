"""Training input against the notebooks' `ImageDataGenerator.flow_from_directory` with augmentation, on full-size files.

Cached epochs: batches as training gets them, shuffled and gathered from the cache. The first line is our input alone
against the notebooks' generator with its augmentation, which is part of its input: not like against like. The second
is, with cnn5's augmentation on top of ours, which then costs ten times as much as all the rest. First epoch: decoding
included, into an empty cache. `--quick` takes fewer files and rounds.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cxr.local_baseline.images.cache import cached_images
from cxr.local_baseline.recipes import CNN5, Augmentation
from cxr.local_baseline.training.pipeline import TrainingData, training_batches
from cxr.manifests.manifest import Manifest
from cxr.manifests.scan.folder import scan_with_record
from training_peers.notebook import BATCH, folder_of_originals, generator
from training_peers.turns import in_turns, report

QUICK = "--quick" in sys.argv
FILES, ROUNDS = (256, 3) if QUICK else (1_024, 5)
#: Our epoch is repeated, or it would be over before it can be timed.
EPOCHS = 8


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = folder_of_originals(folder, FILES)
        manifest = scan_with_record(images).manifest
        theirs = generator(images / "train")
        data = _data(manifest, images, folder / "cache")
        augmented = CNN5.scratch[0].augmentation
        for what, augmentation, goal in (
            ("cached epochs, ours without augmentation", Augmentation(), "100"),
            ("cached epochs, both with augmentation", augmented, "none: it is arithmetic, not input"),
        ):
            ours = partial(_our_epochs, data, augmentation, EPOCHS)
            turns = in_turns(ours, lambda: _their_epoch(theirs), ROUNDS)
            report(what, _per_epoch(turns), FILES, goal)

        def first_epoch() -> None:
            shutil.rmtree(folder / "cache")
            _our_epochs(_data(manifest, images, folder / "cache"), augmented, 1)

        report("first epoch", in_turns(first_epoch, lambda: _their_epoch(theirs), ROUNDS), FILES, "1.5")


def _data(manifest: Manifest, images: Path, cache: Path) -> TrainingData:
    pixels = cached_images(manifest, str(images), CNN5.preprocessing, cache, lambda done, total, note: None)
    labels = manifest.frame["label"].map({label: n for n, label in enumerate(manifest.classes)}).to_numpy(np.int64)
    return TrainingData(pixels, labels, np.arange(len(labels)), np.arange(1), 2)


def _our_epochs(data: TrainingData, augmentation: Augmentation, epochs: int) -> None:
    batches = training_batches(data, augmentation, batch_size=BATCH, epochs=epochs, seed=7, weighted=True)
    seen = sum(len(images) for images, *_ in batches)
    if seen != epochs * len(data.train):
        raise SystemExit("not every image came: nothing was measured")


def _their_epoch(batches: Any) -> None:
    for number in range(len(batches)):
        batches[number]


def _per_epoch(turns: Any) -> Any:
    return type(turns)(tuple(seconds / EPOCHS for seconds in turns.ours), turns.theirs)


if __name__ == "__main__":
    main()
