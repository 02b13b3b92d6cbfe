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

import argparse
import itertools
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
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
from harness.result import Better, Result
from harness.script import Script, run_script
from harness.turns import Turns, in_turns, rate_result, seconds_of
from training_peers.notebook import BATCH, SIDE, five_block_net, folder_of_originals, generator


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: steps of a turn, turns; files, epochs of them, and turns from the files on."""

    steps: int
    rounds: int
    files: int
    epochs: int
    end_rounds: int


FULL, QUICK = Size(12, 4, 256, 3, 1), Size(8, 3, 96, 2, 1)
STAGE = replace(CNN5.scratch[0], early_stopping=EarlyStopping(1_000))


def measure(script: Script) -> None:
    """The loop alone, then all from the files on."""
    size = QUICK if script.quick else FULL
    name, images = "`cnn5` on tensors in memory", size.steps * BATCH
    script.add(rate_result(name, _loop_against_fit(size), images, peer="Keras's `fit`", goal=0.95))
    with tempfile.TemporaryDirectory() as folder:
        turns = _from_files(script, size, folder_of_originals(Path(folder), size.files, script.note), Path(folder))
    name, images = f"`cnn5`, {size.epochs} epochs from {size.files} scanned files on", size.files * size.epochs
    script.add(rate_result(name, turns, images, peer="the notebook's code", goal=1.3))


def _loop_against_fit(size: Size) -> Turns:
    """Each side goes on with its own training from turn to turn: a turn is the time of `size.steps` steps."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (size.steps * BATCH, SIDE, SIDE, 1), dtype=np.uint8)
    labels = rng.integers(0, 2, len(images))
    ours, theirs = _our_epochs(images, labels), _their_epochs(images, labels)
    pairs = [(next(ours), next(theirs)) for _ in range(1 + size.rounds)][1:]
    return Turns(tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs))


def _our_epochs(images: Any, labels: Any) -> Iterator[float]:
    """Seconds of an epoch's steps of our loop each time, its start and its validation left out."""
    steps = len(images) // BATCH
    for _ in itertools.count():
        times: list[float] = []
        rows = np.arange(len(images))
        data = TrainingData(images, labels, rows, rows[:BATCH], 2)
        model = build_model(CNN5, 2, "none")

        def on_step(step: int, loss: float, times: list[float] = times) -> None:
            times.append(time.perf_counter())

        fit_stage(model, data, CNN5, STAGE, positive=1, epochs=2, seed=7, on_step=on_step, on_epoch=lambda result: None)
        second = times[steps:]
        yield (second[-1] - second[0]) * steps / (steps - 1)


def _their_epochs(images: Any, labels: Any) -> Iterator[float]:
    """The same of Keras's fit, on float tensors."""
    keras, steps = load().keras, len(images) // BATCH
    values, truth = load().tf.constant(images, load().tf.float32), load().tf.constant(labels, load().tf.float32)
    for _ in itertools.count():
        model = build_model(CNN5, 2, "none")
        model.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy", jit_compile=False)
        times: list[float] = []
        hear = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs, times=times: times.append(time.perf_counter())
        )
        model.fit(values, truth, batch_size=BATCH, epochs=2, verbose=0, callbacks=[hear])
        second = times[steps:]
        yield (second[-1] - second[0]) * steps / (steps - 1)


def _from_files(script: Script, size: Size, images: Path, folder: Path) -> Turns:
    start = time.perf_counter()
    manifest = scan_with_record(images).manifest
    script.note(
        f"The scan of {size.files} files is in neither side's time: {time.perf_counter() - start:.1f} s. Keras was "
        "told not to compile with XLA, which on a CPU is many times slower for this net."
    )
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
            epochs=size.epochs,
            seed=7,
            on_step=lambda step, loss: None,
            on_epoch=lambda result: None,
        )

    def theirs(jit_compile: Any) -> None:
        net = five_block_net()
        net.compile("adam", "binary_crossentropy", metrics=["accuracy"], jit_compile=jit_compile)
        net.fit(generator(images / "train"), epochs=size.epochs, verbose=0)

    if script.options.as_written:
        rate = size.files * size.epochs / seconds_of(lambda: theirs("auto"))
        script.add(Result("the notebook as it is written: Keras chooses XLA", "speed", rate, "images/s", Better.MORE))
    return in_turns(ours, lambda: theirs(False), size.end_rounds)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--as-written", action="store_true", help="also the notebook with XLA, if Keras chooses it")


if __name__ == "__main__":
    packages = ("tensorflow-cpu", "keras", "pillow")
    run_script(measure, file=__file__, description=__doc__, packages=packages, arguments=_arguments)
