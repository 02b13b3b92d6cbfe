"""The weights of a TF.js graph model: which of them are kept in fewer bits, and how the manifest says so.

A weight with `quantization` in its entry is stored in that type and brought back to float32 when the page loads:
float16 as it is, uint8 and uint16 as value * scale + min (tfjs-core, src/io/io_utils.ts, decodeWeight). The format has
one scale for a whole tensor, but the channels of a net with folded batch norm differ by orders of magnitude; so what is
stored are levels, which two operations of the graph multiply by a scale and shift for each channel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

#: Weights with fewer values stay exact: they cost nothing, and all places of a map depend on each of them.
LEAST_VALUES = 256
#: Kernels with fewer values keep 16 bits where others have 8: they feed all that comes after them, and cost little
#: (MobileNetV2 at 128 pixels: the mean difference of a probability is 2.8e-3 so, 9e-3 with all in 8 bits).
MIDDLE_VALUES = 16_384


class TfjsForm(StrEnum):
    """What large weights are stored as."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    UINT16 = "uint16"
    UINT8 = "uint8"


#: The largest level; the smallest is 0.
LEVELS = {TfjsForm.UINT16: 65535, TfjsForm.UINT8: 255}


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


def is_large(value: npt.NDArray[Any]) -> bool:
    """Whether a constant may lose bits: not biases, scales of batch norm, shapes or small kernels."""
    return bool(value.dtype == np.float32 and value.ndim >= 2 and value.size >= LEAST_VALUES)


def exact(name: str, value: npt.NDArray[Any]) -> Weight:
    """A constant (float32, int32 or bool) as it is."""
    return Weight(name, _little_endian(value), str(value.dtype))


def halved(name: str, value: npt.NDArray[np.float32]) -> Weight:
    """A float32 constant in half precision (as it is, when that is too small for it)."""
    if np.abs(value).max(initial=0.0) > np.finfo(np.float16).max:
        return exact(name, value)
    quantization = {"dtype": "float16", "original_dtype": "float32"}
    return Weight(name, _little_endian(value.astype(np.float16)), "float32", quantization)


@dataclass(frozen=True, slots=True)
class Levelled:
    """A constant as `levels`, whole numbers from 0 on: value = level * scale + shift, with a `scale` and a `shift`
    float32 for each channel, of shapes that go with the levels'."""

    levels: Weight
    scale: npt.NDArray[np.float32]
    shift: npt.NDArray[np.float32]


def levelled(name: str, value: npt.NDArray[np.float32], channels: tuple[int, ...], form: TfjsForm) -> Levelled:
    """`channels` are the axes that have a scale for each place. Zero is one of the levels of each channel."""
    others = tuple(axis for axis in range(value.ndim) if axis not in channels)
    low = np.minimum(value.min(axis=others, keepdims=True), 0.0).astype(np.float64)
    high = np.maximum(value.max(axis=others, keepdims=True), 0.0).astype(np.float64)
    # One level is left free: bringing zero onto a level moves the others by up to half a one.
    scale = np.where(high > low, (high - low) / (LEVELS[form] - 1), 1.0)
    zero = np.rint(-low / scale)
    stored = np.rint(value / scale + zero).clip(0, LEVELS[form]).astype(np.dtype(form.value))
    quantization = {"dtype": form.value, "scale": 1, "min": 0, "original_dtype": "float32"}
    weight = Weight(name, _little_endian(stored), "float32", quantization)
    return Levelled(weight, scale.astype(np.float32), (-zero * scale).astype(np.float32))


def _little_endian(value: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return value.astype(value.dtype.newbyteorder("<"))
