"""A process of its own for the tests of several replicas: trains a small net on made-up images, prints what came out.

Arguments: `plain`, `mirrored` (two logical CPUs) or `cluster` (TF_CONFIG names it); then, if wanted, a folder for
checkpoints, a number of epochs, and the epoch after which this process stands still until it is killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from typing import Any

import numpy as np

from cxr.local_baseline.entry import run_process
from cxr.local_baseline.recipes import CNN5, Augmentation, Budget, EarlyStopping
from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.training.checkpoints import Checkpoints
from cxr.local_baseline.training.distribution import ALONE, Replicas, join
from cxr.local_baseline.training.epochs import EpochResult
from cxr.local_baseline.training.pipeline import TrainingData
from cxr.local_baseline.training.stages import Surroundings, run_stages

EPOCHS = 2


def recipe(epochs: int = EPOCHS) -> Any:
    """The five-block net on 32x32, in batches of 6 or 7 images (shares of unequal size), its weights averaged and
    penalised."""
    stage = replace(
        CNN5.scratch[0],
        budget=Budget(epochs, 1, epochs),
        early_stopping=EarlyStopping(epochs),
        augmentation=Augmentation(zoom=0.1, shift=0.1),
    )
    contract = replace(CNN5.preprocessing, height=32, width=32)
    return replace(CNN5, preprocessing=contract, scratch=(stage,), batch_size=8, weight_average=0.9, l2=0.01)


def data() -> TrainingData:
    """33 images to train on, 11 to validate, the second class brighter."""
    labels = np.arange(44) % 2
    pixels = np.random.default_rng(0).normal(90, 40, (44, 32, 32, 1)) + 30 * labels[:, None, None, None]
    return TrainingData(pixels.clip(0, 255).astype(np.uint8), labels, np.arange(33), np.arange(33, 44), 2)


def replicas(kind: str) -> Replicas:
    """The replicas of this process."""
    if kind == "cluster":
        return join(os.environ)
    if kind == "plain":
        return ALONE
    tf = load_with_two_cpus()
    return Replicas(strategy=tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))


def load_with_two_cpus() -> Any:
    """TensorFlow with its processor cut in two, which it allows before it starts only."""
    import tensorflow as tf

    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    return load().tf


def outcome(around: Surroundings, epochs: int, stands_after: int | None) -> dict[str, Any]:
    """Train; the history, and the weights' own figures."""

    def on_epoch(result: EpochResult) -> None:
        if result.epoch == stands_after:
            while True:
                signal.pause()

    trained = run_stages(
        recipe(epochs),
        data(),
        weights="none",
        epochs=epochs,
        seed=7,
        positive=1,
        on_progress=lambda done, total, note: None,
        on_epoch=on_epoch,
        surroundings=around,
    )
    weights = trained.model.get_weights()
    return {
        "replicas": around.replicas.count,
        "history": [[line.loss, line.val_loss, line.val_auc] for line in trained.history],
        "best_epoch": trained.best_epoch,
        "weights": [[float(values.mean()), float(values.std())] for values in weights],
    }


def main() -> None:
    """Print one JSON object."""
    here = replicas(sys.argv[1])
    place = Checkpoints(sys.argv[2], "f" * 64, lambda line: None) if len(sys.argv) > 2 else None
    epochs = int(sys.argv[3]) if len(sys.argv) > 3 else EPOCHS
    stands_after = int(sys.argv[4]) if len(sys.argv) > 4 else None
    with here.errors():
        print(json.dumps(outcome(Surroundings(place, here), epochs, stands_after)), flush=True)


if __name__ == "__main__":
    run_process(main)
