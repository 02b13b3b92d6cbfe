"""One image through a bundle, as `cxr compare` scores it, against `model.predict` of the same model.

Each round times both for every image in turn; the ratio is of the medians of single predictions.
"""

from __future__ import annotations

import statistics
import sys
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
from training_peers.turns import seconds_of

RUNS = 30 if "--quick" in sys.argv else 200


def main() -> None:
    """Measure and print, for a net of our own and a transfer net."""
    for recipe in (CNN5, MOBILENET_V2):
        with tempfile.TemporaryDirectory() as name:
            bundle = untrained_bundle(recipe, Path(name) / recipe.name)
            ours, theirs = _measured(bundle)
        print(
            f"{recipe.name}, one image: {ours * 1e3:.1f} ms, model.predict {theirs * 1e3:.1f} ms: "
            f"{theirs / ours:.1f} times (goal: 5)",
            flush=True,
        )


def _measured(bundle: Bundle) -> tuple[float, float]:
    contract = bundle.info.preprocessing
    shape = (RUNS, 1, contract.height, contract.width, contract.channels)
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
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


if __name__ == "__main__":
    main()
