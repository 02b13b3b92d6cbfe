"""Which weights of a TFLite model lose bits, and how many.

The converter takes all of them alike. But each value of a depthwise kernel or of a bias counts for a whole channel, and
kernels of few values feed all that comes after them: kept in more bits they cost little. (MobileNetV2 at 128 pixels on
700 X-rays, largest difference of a probability: half precision 0.049 with all alike, 0.005 so; 8-bit weights 0.25 and
0.06.)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cxr.local_baseline.exports.flatbuffer import (
    constant,
    halve,
    linear_operators,
    packed,
    read_tree,
    schema,
    set_constant,
)

#: Kernels with fewer values stay exact.
SMALL = 256
#: Kernels with fewer values keep 16 bits where others have 8.
MIDDLE = 16_384
DEPTHWISE = "DEPTHWISE_CONV_2D"


def in_half_precision(model: bytes) -> bytes:
    """A float32 model with the kernels of convolutions and dense layers in half precision; biases and kernels of
    depthwise convolutions stay exact."""
    tree = read_tree(model)
    for name, operator in linear_operators(tree):
        kernel = constant(tree, operator.inputs[1])
        if kernel is not None and _may_be_halved(name, kernel):
            halve(tree, operator.inputs[1])
    return packed(tree)


def with_finer_kernels(model: bytes, exact: bytes) -> bytes:
    """A model with 8-bit weights (dynamic ranges) whose depthwise kernels are exact, and whose middling kernels are in
    half precision, as the float32 model `exact` of the same net has them. Returned as it is when the layers of the two
    do not correspond."""
    tree, source = read_tree(model), read_tree(exact)
    ours, theirs = linear_operators(tree), linear_operators(source)
    if [name for name, _ in ours] != [name for name, _ in theirs]:
        return model
    done: set[int] = set()
    for (name, operator), (_, other) in zip(ours, theirs, strict=True):
        place, kernel = operator.inputs[1], constant(source, other.inputs[1])
        if place in done or kernel is None or not _is_in_8_bits(tree, place):
            continue
        if name != DEPTHWISE and kernel.size >= MIDDLE:
            continue
        done.add(place)
        set_constant(tree, place, kernel)
        tree.subgraphs[0].tensors[place].quantization = None
        if _may_be_halved(name, kernel):
            halve(tree, place)
    return packed(tree)


def _may_be_halved(name: str, kernel: np.ndarray[Any, Any]) -> bool:
    if name == DEPTHWISE or kernel.dtype != np.float32 or kernel.size < SMALL:
        return False
    return bool(np.abs(kernel).max() <= np.finfo(np.float16).max)


def _is_in_8_bits(tree: Any, place: int) -> bool:
    return bool(tree.subgraphs[0].tensors[place].type == schema().TensorType.INT8)
