"""Training the five-block net here, against Keras's own `fit` on random tensors in memory, and against the notebook's
own code from the files on.

The first is what the loop and its input cost (goal: at least 0.95 of the speed); Keras is told not to compile with XLA,
which on a CPU is many times slower for this net. The second starts with full-size files: ours decodes them once, the
notebook's generator in every epoch (goal: 1.3 times as fast). Our clock covers decoding, training and each epoch's
scores of a few images; not the scan of the folder, which is once for a data set and is timed by itself (the notebook's
listing, milliseconds, is inside its own clock), nor the threshold, the curves and the bundle that `cxr baseline train`
ends with. `--quick` takes fewer images and rounds.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cxr.local_baseline.images.cache import cached_images
from cxr.local_baseline.models.build import build_model
from cxr.local_baseline.recipes import CNN5, EarlyStopping
from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.training.fitting import fit_stage
from cxr.local_baseline.training.pipeline import TrainingData
from cxr.manifests.scan.folder import scan_with_record
from training_peers.notebook import BATCH, SIDE, five_block_net, folder_of_originals, generator
from training_peers.turns import Turns, in_turns, report, seconds_of

QUICK = "--quick" in sys.argv
STEPS, ROUNDS = (8, 3) if QUICK else (30, 5)
FILES, EPOCHS, END_ROUNDS = (96, 2, 1) if QUICK else (512, 4, 2)
STAGE = replace(CNN5.scratch[0], early_stopping=EarlyStopping(1_000))


def main() -> None:
    """Measure and print."""
    report("cnn5 against fit on tensors in memory", _loop_against_fit(), STEPS * BATCH, "0.95")
    with tempfile.TemporaryDirectory() as name:
        images = folder_of_originals(Path(name), FILES)
        turns = _from_files(images, Path(name))
    report(f"{EPOCHS} epochs from scanned files on, against the notebook", turns, FILES * EPOCHS, "1.3")


def _loop_against_fit() -> Turns:
    """Each side goes on with its own training from turn to turn: a turn is the time of STEPS steps."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (STEPS * BATCH, SIDE, SIDE, 1), dtype=np.uint8)
    labels = rng.integers(0, 2, len(images))
    ours, theirs = _our_epochs(images, labels), _their_epochs(images, labels)
    pairs = [(next(ours), next(theirs)) for _ in range(1 + ROUNDS)][1:]
    return Turns(tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs))


def _our_epochs(images: Any, labels: Any) -> Iterator[float]:
    """Seconds of STEPS steps of our loop each time, its start and its validation left out."""
    for _ in itertools.count():
        times: list[float] = []
        rows = np.arange(len(images))
        data = TrainingData(images, labels, rows, rows[:BATCH], 2)
        model = build_model(CNN5, 2, "none")

        def on_step(step: int, loss: float, times: list[float] = times) -> None:
            times.append(time.perf_counter())

        fit_stage(model, data, CNN5, STAGE, positive=1, epochs=2, seed=7, on_step=on_step, on_epoch=lambda result: None)
        second = times[STEPS:]
        yield (second[-1] - second[0]) * STEPS / (STEPS - 1)


def _their_epochs(images: Any, labels: Any) -> Iterator[float]:
    """The same of Keras's fit, on float tensors."""
    keras = load().keras
    values, truth = load().tf.constant(images, load().tf.float32), load().tf.constant(labels, load().tf.float32)
    for _ in itertools.count():
        model = build_model(CNN5, 2, "none")
        model.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy", jit_compile=False)
        times: list[float] = []
        hear = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs, times=times: times.append(time.perf_counter())
        )
        model.fit(values, truth, batch_size=BATCH, epochs=2, verbose=0, callbacks=[hear])
        second = times[STEPS:]
        yield (second[-1] - second[0]) * STEPS / (STEPS - 1)


def _from_files(images: Path, folder: Path) -> Turns:
    start = time.perf_counter()
    manifest = scan_with_record(images).manifest
    print(f"the scan of {FILES} files, which is in neither side's time: {time.perf_counter() - start:.1f} s")
    labels = manifest.frame["label"].map({label: n for n, label in enumerate(manifest.classes)}).to_numpy(np.int64)
    caches = (folder / f"cache-{number}" for number in itertools.count())

    def ours() -> None:
        cache = next(caches)
        pixels = cached_images(manifest, str(images), CNN5.preprocessing, cache, lambda done, total, note: None)
        rows = np.arange(len(labels))
        data = TrainingData(pixels, labels, rows, rows[:BATCH], 2)
        model = build_model(CNN5, 2, "none")
        fit_stage(
            model,
            data,
            CNN5,
            STAGE,
            positive=1,
            epochs=EPOCHS,
            seed=7,
            on_step=lambda step, loss: None,
            on_epoch=lambda result: None,
        )

    def theirs(jit_compile: Any) -> None:
        net = five_block_net()
        net.compile("adam", "binary_crossentropy", metrics=["accuracy"], jit_compile=jit_compile)
        net.fit(generator(images / "train"), epochs=EPOCHS, verbose=0)

    if not QUICK:
        as_written = seconds_of(lambda: theirs("auto"))
        print(f"the notebook as it is written (Keras chooses XLA or not): {FILES * EPOCHS / as_written:,.0f} images/s")
    return in_turns(ours, lambda: theirs(False), END_ROUNDS)


if __name__ == "__main__":
    main()
