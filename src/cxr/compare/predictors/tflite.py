"""Scores a TFLite file with LiteRT's interpreter."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from cxr.bundle import Bundle, Preprocessing
from cxr.compare.predictors.base import Images, Probabilities, class_probabilities, scaled
from cxr.errors import InputError

#: The file descriptor that C++ writes its notes to.
STDERR = 2
PIXELS = np.arange(256, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Quantisation:
    """real = (stored - zero_point) * scale, for stored values of an 8-bit `dtype`; a scale of 0 says that there is none
    (TFLite's 8-bit quantisation specification)."""

    dtype: np.dtype[Any]
    scale: float
    zero_point: int

    def stored(self, real: NDArray[np.float64]) -> NDArray[np.float64]:
        """Real values as stored ones, rounded and clipped to the dtype's range."""
        limits = np.iinfo(self.dtype)
        rounded: NDArray[np.float64] = np.rint(real / self.scale) + self.zero_point
        return rounded.clip(limits.min, limits.max)

    def real(self, stored: NDArray[np.generic]) -> NDArray[np.float64]:
        """Stored values as real ones; without a scale, the dtype's range stands for 0..1."""
        limits = np.iinfo(self.dtype)
        if not self.scale:
            return (stored.astype(np.float64) - limits.min) / (limits.max - limits.min)
        return (stored.astype(np.float64) - self.zero_point) * self.scale


class TflitePredictor:
    """One interpreter, one image at a time: exported phone models have a fixed batch of one."""

    def __init__(self, bundle: Bundle, interpreter: Any) -> None:
        self._bundle = bundle
        self._interpreter = interpreter
        self._input, self._output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
        _check_input(bundle, self._input)
        quantisation = _quantisation(self._input)
        self._levels = input_levels(quantisation, bundle.info.preprocessing) if quantisation else None
        self._as_they_are = self._levels is not None and np.array_equal(self._levels, as_they_are(self._levels.dtype))
        self._output_quantisation = _quantisation(self._output)
        interpreter.allocate_tensors()

    def predict(self, images: Images) -> Probabilities:
        """See Predictor."""
        outputs = np.stack([self._run(image) for image in images])
        if self._output_quantisation:
            outputs = self._output_quantisation.real(outputs)
        return class_probabilities(outputs, self._bundle)

    def _run(self, image: NDArray[np.uint8]) -> NDArray[np.generic]:
        self._interpreter.set_tensor(self._input["index"], self._fed(image[None]))
        self._interpreter.invoke()
        output: NDArray[np.generic] = self._interpreter.get_tensor(self._output["index"])[0]
        return output

    def _fed(self, images: Images) -> NDArray[np.generic]:
        if self._levels is None:
            return scaled(images, self._bundle.info.preprocessing)
        if not self._as_they_are:
            return self._levels[images]
        # As the table says, in a hundredth of the time: turning the highest bit takes 128 off.
        return images if self._levels.dtype == np.uint8 else (images ^ np.uint8(128)).view(np.int8)


def open_model(bundle: Bundle) -> TflitePredictor:
    """Load the bundle's TFLite file."""
    with _without_start_up_notes():
        return TflitePredictor(bundle, Interpreter(model_path=str(bundle.model_path)))


def input_levels(quantisation: Quantisation, contract: Preprocessing) -> NDArray[np.generic]:
    """What each pixel level 0..255 becomes in an 8-bit input tensor: [256] of its dtype.

    Where the tensor's quantisation is the contract's own scaling (or the identity) to within one level, the pixels
    are fed as they are: that is what the service's uint8 models expect, and rounding twice would shift half of the
    levels by one.
    """
    dtype = quantisation.dtype
    plain = as_they_are(dtype)
    if not quantisation.scale:
        return plain
    by_contract = quantisation.stored(PIXELS * contract.scale + contract.offset)
    by_identity = quantisation.stored(PIXELS)
    candidates = [by_contract, by_identity] if contract.scale_inside_model else [by_contract]
    if any(np.abs(levels - plain.astype(np.float64)).max() <= 1 for levels in candidates):
        return plain
    return candidates[-1].astype(dtype)


def as_they_are(dtype: np.dtype[Any]) -> NDArray[np.generic]:
    """The levels 0..255 in an 8-bit type: int8 begins at -128."""
    return (PIXELS + np.iinfo(dtype).min).astype(dtype)


def _quantisation(details: dict[str, Any]) -> Quantisation | None:
    dtype = np.dtype(details["dtype"])
    if dtype.kind == "f":
        return None
    if dtype not in (np.uint8, np.int8):
        raise InputError(
            f"the tensor {details['name']!r} is of type {dtype.name}; float32, uint8 and int8 are known here"
        )
    scale, zero_point = details["quantization"]
    return Quantisation(dtype, float(scale), int(zero_point))


def _check_input(bundle: Bundle, details: dict[str, Any]) -> None:
    contract = bundle.info.preprocessing
    wanted = (1, contract.height, contract.width, contract.channels)
    found = tuple(int(size) for size in details["shape"])
    if found != wanted:
        raise InputError(f"{bundle.model_path} takes {found}, but bundle.json's preprocessing makes {wanted}")


@contextmanager
def _without_start_up_notes() -> Iterator[None]:
    """The interpreter's C++ side tells stderr which delegate it made, without a switch; what goes wrong is raised."""
    sys.stderr.flush()
    kept = os.dup(STDERR)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, STDERR)
        yield
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)
        os.close(nowhere)
