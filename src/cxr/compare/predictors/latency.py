"""How long a model takes for one image, apart from reading and resizing it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from cxr.compare.predictors.base import Images, Predictor
from cxr.compare.predictors.encoded_images import EncodedImagePredictor, decode_png, png_file

WARM_UP_RUNS = 5
TIMED_RUNS = 30

_Input = TypeVar("_Input")


@dataclass(frozen=True, slots=True)
class Latency:
    """Median milliseconds for one image. With `includes_decoding` the model takes files only, so that decoding a PNG
    of the pixels is within the figure; `decoding_ms` is what such a decoding alone takes."""

    ms: float
    includes_decoding: bool = False
    decoding_ms: float | None = None


def measure_latency(predictor: Predictor, images: Images, *, runs: int = TIMED_RUNS) -> Latency:
    """The latency of a predictor on pixels wherever it takes some; of a SavedModel that takes files and has no
    signature for pixels on PNG files, which are made before the clock starts. `images`: see `measure_latency_ms`."""
    if not isinstance(predictor, EncodedImagePredictor):
        return Latency(measure_latency_ms(predictor, images, runs=runs))
    if predictor.takes_pixels:
        return Latency(_median_ms(predictor.predict_pixels, _singles(images, runs)))
    files = [png_file(single[0]) for single in _singles(images, runs)]
    whole = _median_ms(lambda file: predictor.predict_files([file]), files)
    return Latency(whole, includes_decoding=True, decoding_ms=_median_ms(decode_png, files))


def measure_latency_ms(predictor: Predictor, images: Images, *, runs: int = TIMED_RUNS) -> float:
    """Median milliseconds of `runs` predictions of one image each (batch 1), after a warm-up.

    `images`: uint8 [N, H, W, C], N at least 1, taken in turn. Wall-clock time of this process, with each runtime's
    own defaults for threads; what else the machine does is in it.
    """
    return _median_ms(predictor.predict, _singles(images, runs))


def _singles(images: Images, runs: int) -> list[Images]:
    return [images[index % len(images)][None] for index in range(runs)]


def _median_ms(call: Callable[[_Input], object], inputs: Sequence[_Input]) -> float:
    for each in inputs[:WARM_UP_RUNS]:
        call(each)
    elapsed_ms = []
    for each in inputs:
        start = time.perf_counter()
        call(each)
        elapsed_ms.append((time.perf_counter() - start) * 1_000)
    return float(np.median(elapsed_ms))
