"""One image through a bundle, as `cxr compare` scores it, against `model.predict` of the same model.

Each round times both for every image in turn; the ratio is of the medians of single predictions.
"""

from __future__ import annotations

import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cxr.bundle import Bundle
from cxr.compare.predictors import open_predictor
from cxr.local_baseline.recipes import CNN5, MOBILENET_V2
from cxr.local_baseline.tensorflow_setup import load
from export_latency import untrained_bundle
from harness.result import Better, Result, least_ratio
from harness.script import Script, run_script
from harness.turns import seconds_of

RUNS, QUICK_RUNS, GOAL = 200, 30, 5.0


def measure(script: Script) -> None:
    """A net of our own and a transfer net."""
    runs = QUICK_RUNS if script.quick else RUNS
    for recipe in (CNN5, MOBILENET_V2):
        with tempfile.TemporaryDirectory() as name:
            bundle = untrained_bundle(recipe, Path(name) / recipe.name)
            ours, theirs = _measured(bundle, runs)
        script.add(
            Result(
                f"`{recipe.name}`",
                "one image",
                statistics.median(ours),
                "ms",
                Better.LESS,
                "`model.predict`",
                statistics.median(theirs),
                goal=least_ratio(GOAL),
                spread=(min(ours), max(ours)),
                repeats=runs,
            )
        )


def _measured(bundle: Bundle, runs: int) -> tuple[list[float], list[float]]:
    """Milliseconds of single predictions, ours and the peer's."""
    contract = bundle.info.preprocessing
    shape = (runs, 1, contract.height, contract.width, contract.channels)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    predictor = open_predictor(bundle)
    model: Any = load().keras.models.load_model(bundle.model_path)
    for image in images[:5]:
        scores = predictor.predict(image), model.predict(image.astype(np.float32), verbose=0)
        if abs(scores[0][0, 1] - scores[1][0, 0]) > 1e-5:
            raise SystemExit("the two do not agree: nothing was measured")
    pairs = []
    for image in images:
        ours = seconds_of(partial(predictor.predict, image))
        pairs.append((ours, seconds_of(partial(model.predict, image.astype(np.float32), verbose=0))))
    return [pair[0] * 1e3 for pair in pairs], [pair[1] * 1e3 for pair in pairs]


if __name__ == "__main__":
    run_script(measure, file=__file__, description=__doc__, packages=("tensorflow-cpu", "keras"))
