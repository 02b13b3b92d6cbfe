"""Biases of an 8-bit TFLite model, corrected for what rounding does to each layer on average.

Rounded weights and activations shift the mean of each channel; as a shift it passes all layers that follow. Layer by
layer, the mean of what the float32 model sums up there, over training images, less the mean of what the 8-bit model
does (its earlier layers corrected already), is added to the bias: M. Nagel et al., Data-Free Quantization Through
Weight Equalization and Bias Correction, ICCV 2019, section 4.2 (its empirical form). The mean of a
linear layer's sums needs only the mean image that goes into it.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cxr.local_baseline.exports.flatbuffer import (
    constant,
    linear_operators,
    packed,
    read_tree,
    set_constant,
)
from cxr.local_baseline.images.preprocess import Pixels
from cxr.local_baseline.tensorflow_setup import load

#: Images whose mean is taken: the mean of a channel over an image's places is steady already.
IMAGES = 64
#: The schema's Padding.
PADDINGS = {0: "SAME", 1: "VALID"}

Floats = npt.NDArray[np.float32]


def with_corrected_biases(model: bytes, exact: bytes, representative: Pixels) -> bytes:
    """The 8-bit `model` with corrected biases; weights, ranges and operators stay what they are.

    `exact` is the same net in float32, `representative` uint8 [N, H, W, C] are training images, of which IMAGES are
    taken. The model is returned as it is when the layers of the two do not correspond.
    """
    tree, source = read_tree(model), read_tree(exact)
    ours, theirs = linear_operators(tree), linear_operators(source)
    if [name for name, _ in ours] != [name for name, _ in theirs]:
        return model
    images = representative[np.linspace(0, len(representative) - 1, min(IMAGES, len(representative))).astype(int)]
    wanted = _mean_inputs(source, {operator.inputs[0] for _, operator in theirs}, images)
    corrected: set[int] = set()
    for (name, operator), (_, other) in zip(ours, theirs, strict=True):
        layer = _Layer(name, tree, operator)
        if layer.bias in corrected or not layer.has_whole_bias:
            continue
        came = _mean_inputs(_up_to(tree, operator), {operator.inputs[0]}, images)
        target = _Layer(name, source, other).mean_sums(wanted[other.inputs[0]])
        layer.shift_bias(target - layer.mean_sums(came[operator.inputs[0]]))
        corrected.add(layer.bias)
    return packed(tree)


@dataclass(frozen=True, slots=True)
class _Layer:
    """An operator with weights in its tree."""

    name: str
    tree: Any
    operator: Any

    @property
    def bias(self) -> int:
        """The bias's tensor, -1 where there is none."""
        return int(self.operator.inputs[2]) if len(self.operator.inputs) > 2 else -1

    @property
    def has_whole_bias(self) -> bool:
        """Whether there is a stored bias of whole numbers."""
        values = constant(self.tree, self.bias) if self.bias >= 0 else None
        return values is not None and values.dtype == np.int32

    def mean_sums(self, image: Floats) -> Floats:
        """What the layer sums up, before bias and activation, for the mean input [1, ...]: the mean of each output
        channel, [channels]."""
        tf, options = load().tf, self.operator.builtinOptions
        kernel = _values(self.tree, self.operator.inputs[1])
        if self.name == "FULLY_CONNECTED":
            sums = image.reshape(-1, kernel.shape[1]) @ kernel.T
        else:
            strides = [1, options.strideH, options.strideW, 1]
            settings = {"padding": PADDINGS[options.padding]}
            dilations = [options.dilationHFactor, options.dilationWFactor]
            if self.name == "CONV_2D":
                across = kernel.transpose(1, 2, 3, 0)
                sums = tf.nn.conv2d(image, across, strides, dilations=dilations, **settings).numpy()
            else:
                across = kernel.reshape(*kernel.shape[1:3], image.shape[-1], -1)
                sums = tf.nn.depthwise_conv2d(image, across, strides, dilations=dilations, **settings).numpy()
        return np.asarray(sums.reshape(-1, sums.shape[-1]).mean(axis=0), dtype=np.float32)

    def shift_bias(self, shift: Floats) -> None:
        """Add `shift` [channels], in the units of the sums, to the bias."""
        values = constant(self.tree, self.bias)
        assert values is not None
        scale = np.asarray(self.tree.subgraphs[0].tensors[self.bias].quantization.scale, np.float64)
        limits = np.iinfo(np.int32)
        moved = np.clip(values + np.rint(shift / scale), limits.min, limits.max)
        set_constant(self.tree, self.bias, moved.astype(np.int32))


def _up_to(tree: Any, operator: Any) -> Any:
    """The model that computes what goes into `operator`, and no more."""
    graph = copy.copy(tree.subgraphs[0])
    graph.operators = graph.operators[: graph.operators.index(operator)]
    return _with_graph(tree, graph)


def _with_graph(tree: Any, graph: Any) -> Any:
    other = copy.copy(tree)
    other.subgraphs, other.signatureDefs = [graph], None
    return other


def _mean_inputs(tree: Any, places: Iterable[int], images: Pixels) -> dict[int, Floats]:
    """Tensor -> its mean over the images, float32 [1, ...], in real numbers."""
    tf = load().tf
    graph = copy.copy(tree.subgraphs[0])
    given = int(graph.inputs[0])
    computed = sorted(set(places) - {given})
    graph.outputs = computed or [given]
    sums = {given: images.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)}
    if not computed:
        return sums
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\s*Warning: tf.lite.Interpreter is deprecated")
        interpreter = tf.lite.Interpreter(model_content=packed(_with_graph(tree, graph)))
    interpreter.allocate_tensors()
    [asked] = interpreter.get_input_details()
    outputs = interpreter.get_output_details()
    totals = [np.zeros(output["shape"], np.float64) for output in outputs]
    for image in images:
        interpreter.set_tensor(asked["index"], _stored(image[np.newaxis].astype(np.float32), asked))
        interpreter.invoke()
        for total, output in zip(totals, outputs, strict=True):
            total += _real(interpreter.get_tensor(output["index"]), output["quantization"])
    means = [np.asarray(total / len(images), dtype=np.float32) for total in totals]
    return sums | dict(zip(computed, means, strict=True))


def _stored(values: Floats, details: Any) -> npt.NDArray[Any]:
    """Real numbers as an input tensor takes them."""
    dtype = np.dtype(details["dtype"])
    if dtype == np.float32:
        return values
    scale, zero = details["quantization"]
    limits = np.iinfo(dtype)
    return np.asarray(np.clip(np.rint(values / scale + zero), limits.min, limits.max), dtype=dtype)


def _real(values: npt.NDArray[Any], quantization: tuple[float, int]) -> npt.NDArray[np.float64]:
    scale, zero = quantization
    return (values.astype(np.float64) - zero) * (scale or 1.0)


def _values(tree: Any, place: int) -> Floats:
    """A constant in real numbers: with a scale for the whole of it, or for each place of one axis."""
    tensor, values = tree.subgraphs[0].tensors[place], constant(tree, place)
    assert values is not None
    if values.dtype == np.float32:
        return np.asarray(values, dtype=np.float32)
    scale = np.asarray(tensor.quantization.scale, np.float32)
    zero = np.asarray(tensor.quantization.zeroPoint, np.float32)
    shape = [1] * values.ndim
    if len(scale) > 1:
        shape[tensor.quantization.quantizedDimension] = len(scale)
    return np.asarray((values - zero.reshape(shape)) * scale.reshape(shape), dtype=np.float32)
