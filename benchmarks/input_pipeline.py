"""Training input against the notebooks' `ImageDataGenerator.flow_from_directory` with augmentation, on full-size files.

Cached epochs: batches as training gets them, shuffled and gathered from the cache. The first line is our input alone
against the notebooks' generator with its augmentation, which is part of its input: not like against like. The second
is, with cnn5's augmentation on top of ours, which then costs ten times as much as all the rest. First epoch: decoding
included, into an empty cache. `--quick` takes fewer files and rounds.
"""

from __future__ import annotations

import shutil
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
from harness.script import Script, run_script
from harness.turns import Turns, in_turns, rate_result
from training_peers.notebook import BATCH, folder_of_originals, generator

FILES, ROUNDS, QUICK_FILES, QUICK_ROUNDS = 512, 5, 128, 2
PEER = "`flow_from_directory`"
#: Our epoch is repeated, or it would be over before it can be timed.
EPOCHS = 8


def measure(script: Script) -> None:
    """Cached epochs, then the first one."""
    count, rounds = (QUICK_FILES, QUICK_ROUNDS) if script.quick else (FILES, ROUNDS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = folder_of_originals(folder, count, script.note)
        manifest = scan_with_record(images).manifest
        theirs = generator(images / "train")
        data = _data(manifest, images, folder / "cache")
        augmented = CNN5.scratch[0].augmentation
        for what, augmentation, goal in (
            ("cached epochs, ours without augmentation", Augmentation(), 100.0),
            ("cached epochs, both with augmentation (arithmetic, not input)", augmented, None),
        ):
            ours = partial(_our_epochs, data, augmentation, EPOCHS)
            turns = _per_epoch(in_turns(ours, lambda: _their_epoch(theirs), rounds))
            script.add(rate_result(what, turns, count, peer=PEER, goal=goal))

        def first_epoch() -> None:
            shutil.rmtree(folder / "cache")
            _our_epochs(_data(manifest, images, folder / "cache"), augmented, 1)

        turns = in_turns(first_epoch, lambda: _their_epoch(theirs), rounds)
        script.add(rate_result("first epoch, files of two megapixels", turns, count, peer=PEER, goal=1.5))


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


def _per_epoch(turns: Turns) -> Turns:
    """The ratio, too, is of one epoch."""
    return Turns(tuple(seconds / EPOCHS for seconds in turns.ours), turns.theirs)


if __name__ == "__main__":
    run_script(measure, file=__file__, description=__doc__, packages=("tensorflow-cpu", "keras", "pillow"))
