"""The weights of a TF.js graph model: which of them are kept in fewer bits, and how the manifest says so.

A weight with `quantization` in its entry is stored in that type and brought back to float32 when the page loads:
float16 as it is, uint8 as value * scale + min (tfjs-core, src/io/io_utils.ts, decodeWeight). Computing stays in float32.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

#: Weights with fewer values stay exact: they cost nothing, and all places of a map depend on each of them.
LEAST_VALUES = 256
#: Biases and scales of batch norm, which have one dimension, stay exact.
LEAST_DIMENSIONS = 2
LEVELS = 255


class TfjsForm(StrEnum):
    """What large weights are stored as."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    UINT8 = "uint8"


@dataclass(frozen=True, slots=True)
class Weight:
    """One constant of the graph: node name, what is stored (little-endian), and how it becomes the weight's values of
    type `dtype` (empty: it is them)."""

    name: str
    value: npt.NDArray[Any]
    dtype: str
    quantization: dict[str, Any] = field(default_factory=dict)

    def entry(self) -> dict[str, Any]:
        """Its line in the weights manifest."""
        line: dict[str, Any] = {"name": self.name, "shape": list(self.value.shape), "dtype": self.dtype}
        return {**line, "quantization": self.quantization} if self.quantization else line


def stored(name: str, value: npt.NDArray[Any], form: TfjsForm, delicate: Collection[str] = ()) -> Weight:
    """A constant (float32, int32 or bool) as it is stored in `form`. Only float32 weights of two or more dimensions and
    LEAST_VALUES or more values lose bits; those named `delicate` are stored in float16 instead of uint8."""
    dtype = str(value.dtype)
    exact = Weight(name, _little_endian(value), dtype)
    if form is TfjsForm.FLOAT32 or dtype != "float32" or value.ndim < LEAST_DIMENSIONS or value.size < LEAST_VALUES:
        return exact
    if form is TfjsForm.FLOAT16 or name in delicate:
        return _halved(exact)
    low, high = min(float(value.min()), 0.0), max(float(value.max()), 0.0)
    if low == high:
        return exact
    scale = (high - low) / LEVELS
    least = -round(-low / scale) * scale  # so that 0 is one of the levels
    levels = np.clip(np.rint((value - least) / scale), 0, LEVELS).astype(np.uint8)
    return Weight(name, levels, dtype, {"dtype": "uint8", "scale": scale, "min": least, "original_dtype": dtype})


def _halved(exact: Weight) -> Weight:
    if np.abs(exact.value).max(initial=0.0) > np.finfo(np.float16).max:
        return exact
    halves = _little_endian(exact.value.astype(np.float16))
    return Weight(exact.name, halves, exact.dtype, {"dtype": "float16", "original_dtype": exact.dtype})


def _little_endian(value: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return value.astype(value.dtype.newbyteorder("<"))
