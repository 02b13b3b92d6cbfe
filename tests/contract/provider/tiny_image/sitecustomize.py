"""A container image for tests: cxr's trainer runs as it came in the wheel; where it would train, nothing is trained.

On the server's PYTHONPATH, which its jobs inherit. The trainer reads its command line, fetches the manifest, tells its
epochs and leaves its bundle by its own code; TensorFlow is not loaded. The seed chooses what becomes of the training.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

#: Seed -> what becomes of it; any other ends well.
FAILS, ENDLESS, SLOW, SAYS_ENVIRONMENT = 1001, 1002, 1003, 1004


def train(request: Any, on_progress: Any, on_epoch: Any, surroundings: Any) -> Any:
    """In the place of `cxr.local_baseline.train.train`."""
    from cxr.bundle import BundleInfo, ModelFormat, Preprocessing, Threshold, write_bundle
    from cxr.errors import InputError
    from cxr.local_baseline.request import fingerprint, recipe_of
    from cxr.local_baseline.training.epochs import EpochResult

    del on_progress, surroundings
    if request.seed == FAILS:
        raise InputError("the images are too dark")
    recipe = recipe_of(request)
    rate = float(dict(request.overrides).get("learning_rate", 0.001))
    auc, epochs = 0.6 + 30 * rate, request.epochs or 1
    for epoch in range(1, epochs + 1):
        on_epoch(EpochResult("whole", epoch, epochs, 0.5, 0.4, auc, 0.7, rate))
    if request.seed == ENDLESS:
        print("waiting to be ended", flush=True)
        time.sleep(600)
    if request.seed == SLOW:
        time.sleep(6)
    if request.seed == SAYS_ENVIRONMENT:
        print("environment", json.dumps(dict(os.environ)), flush=True)
    request.output.mkdir(parents=True, exist_ok=True)
    classes = tuple(request.manifest.classes)
    (request.output / "model.tflite").write_bytes(_model(classes))
    provenance = {
        "recipe": request.recipe,
        "seed": request.seed,
        "epochs_run": epochs,
        "fingerprint": fingerprint(request, recipe),
        "training_seconds": 0.1,
        "images_per_second": 1000,
        "validation_auc": auc,
    }
    info = BundleInfo(
        name=request.name or request.recipe,
        origin=request.origin,
        format=ModelFormat.TFLITE,
        model_path="model.tflite",
        classes=classes,
        positive_class=classes[-1],
        preprocessing=Preprocessing(224, 224, 3),
        threshold=Threshold(0.5, "max-youden", "validation"),
        manifest_hash=request.manifest.hash,
        provenance=provenance,
    )
    return write_bundle(request.output, info)


def _model(classes: tuple[str, ...]) -> bytes:
    from pathlib import Path

    sys.path.append(str(Path(__file__).parents[3] / "cloud"))
    from tiny_models import tflite

    return bytes(tflite(classes, [float(number) for number in range(len(classes))]))


def _run() -> None:
    words = list(sys.orig_argv)
    by_module = "cxr.local_baseline.trainer" in words
    program = next((word for word in words[1:2] if word.endswith("cxr_train.py")), "")
    if not by_module and not program:
        return
    start = words.index("cxr.local_baseline.trainer" if by_module else program)
    sys.argv = words[start:]
    os.environ.pop("AIP_TENSORBOARD_LOG_DIR", None)  # writing there loads TensorFlow
    from cxr.local_baseline import trainer
    from cxr.local_baseline.entry import run_process
    from cxr.local_baseline.training.distribution import ALONE

    trainer.train, trainer.join = train, lambda environment: ALONE
    try:
        run_process(trainer.main)
    except SystemExit as ended:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(ended.code or 0))


_run()
