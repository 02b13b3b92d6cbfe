"""A process of its own for the test of training from shards on several machines: prints what came out.

Arguments: `alone` (all images are decoded here, the batches are those of two machines) or `cluster` (TF_CONFIG names
it), the manifest, the folder of shards, a folder for the cache.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cxr.local_baseline.entry import run_process
from cxr.local_baseline.images.shard_source import sharded_images
from cxr.local_baseline.recipes import CNN5, Augmentation, Budget, EarlyStopping
from cxr.local_baseline.request import TrainRequest
from cxr.local_baseline.train import training_data
from cxr.local_baseline.training.distribution import ALONE, join
from cxr.local_baseline.training.stages import Surroundings, run_stages
from cxr.manifests.manifest_file import read_manifest

EPOCHS = 2


def main() -> None:
    """Print one JSON object."""
    kind, manifest_path, shards, cache = sys.argv[1:]
    replicas = join(os.environ) if kind == "cluster" else ALONE
    around = Surroundings(replicas=replicas)
    stage = replace(
        CNN5.scratch[0],
        budget=Budget(EPOCHS, 1, EPOCHS),
        early_stopping=EarlyStopping(EPOCHS),
        augmentation=Augmentation(zoom=0.1, shift=0.1),
    )
    contract = replace(CNN5.preprocessing, height=32, width=32)
    recipe = replace(CNN5, preprocessing=contract, scratch=(stage,), batch_size=8)
    manifest = read_manifest(Path(manifest_path))
    request = TrainRequest(manifest, shards, "cnn5", Path(cache) / "unused", Path(cache))
    decoded: list[int] = []
    data = training_data(request, recipe, lambda done, total, note: decoded.append(total), around)
    if kind == "alone":
        source = sharded_images(manifest, shards)
        assert source is not None
        data = replace(data, groups=source.owners("train", data.train, 2))
    with replicas.errors():
        trained = run_stages(
            recipe,
            data,
            weights="none",
            epochs=EPOCHS,
            seed=7,
            positive=1,
            on_progress=lambda done, total, note: None,
            on_epoch=lambda result: None,
            surroundings=around,
        )
    print(json.dumps(outcome(trained, decoded[-1], np.asarray(data.images))), flush=True)


def outcome(trained: Any, decoded: int, images: Any) -> dict[str, Any]:
    """History, the weights' own figures, and how many images were decoded here."""
    weights = trained.model.get_weights()
    return {
        "decoded": decoded,
        "present": int((images.max(axis=(1, 2, 3)) > 0).sum()),
        "best_epoch": trained.best_epoch,
        "history": [[line.loss, line.val_loss, line.val_auc] for line in trained.history],
        "weights": [[float(values.mean()), float(values.std())] for values in weights],
    }


if __name__ == "__main__":
    run_process(main)
