"""How long a model takes for one image, apart from reading and resizing it."""

from __future__ import annotations

import time

import numpy as np

from cxr.compare.predictors.base import Images, Predictor

WARM_UP_RUNS = 5
TIMED_RUNS = 30


def measure_latency_ms(predictor: Predictor, images: Images, *, runs: int = TIMED_RUNS) -> float:
    """Median milliseconds of `runs` predictions of one image each (batch 1), after a warm-up.

    `images`: uint8 [N, H, W, C], N at least 1, taken in turn. Wall-clock time of this process, with each runtime's
    own defaults for threads; what else the machine does is in it.
    """
    singles = [images[index % len(images)][None] for index in range(runs)]
    for single in singles[:WARM_UP_RUNS]:
        predictor.predict(single)
    elapsed_ms = []
    for single in singles:
        start = time.perf_counter()
        predictor.predict(single)
        elapsed_ms.append((time.perf_counter() - start) * 1_000)
    return float(np.median(elapsed_ms))
