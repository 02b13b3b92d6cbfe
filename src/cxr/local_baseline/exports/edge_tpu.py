"""TFLite for Google's Edge TPU: everything in 8 bits with a fixed batch, ready for `edgetpu_compiler`, which runs on
the user's machine. Here it is checked that the compiler can take the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr.errors import Fault
from cxr.local_baseline.exports.flatbuffer import names_of, operator_names, read_tree, schema
from cxr.local_baseline.exports.nouns import Shipment
from cxr.local_baseline.exports.tflite import TfliteForm, convert, write_tflite

#: Operators that the Edge TPU compiler knows, by their names in TFLite's schema: the table "Supported operations" of
#: https://coral.ai/docs/edgetpu/models-intro/ (repeated at
#: https://developer.axis.com/computer-vision/on-device/system-on-chip/artpec-7/supported-ops/).
KNOWN_OPERATORS = frozenset((
    "ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "EXPAND_DIMS", "FULLY_CONNECTED",
    "L2_NORMALIZATION", "LOGISTIC", "LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM", "MAXIMUM", "MAX_POOL_2D", "MEAN",
    "MINIMUM", "MUL", "PACK", "PAD", "PRELU", "QUANTIZE", "REDUCE_MAX", "REDUCE_MIN", "RELU", "RELU6",
    "RELU_N1_TO_1", "RESHAPE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "RSQRT", "SLICE", "SOFTMAX",
    "SPACE_TO_DEPTH", "SPLIT", "SQUEEZE", "STRIDED_SLICE", "SUB", "SUM", "SQUARED_DIFFERENCE", "TANH",
    "TRANSPOSE", "TRANSPOSE_CONV",
))  # fmt: skip
#: The compiler stops at the first operator that it does not know and leaves the rest to the CPU. That may be the
#: calibration behind the last of these, a few numbers, but nothing before it.
HEAVY_OPERATORS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})
#: Biases are 32-bit sums; shapes and axes are constants.
INTEGERS = frozenset({"INT8", "UINT8", "INT32"})


@dataclass(frozen=True, slots=True)
class EdgeTpuCheck:
    """What a compiler would find: `operators` in their order, those at the end that stay `on_cpu`, and `problems` in
    words, none when the file is ready."""

    operators: tuple[str, ...]
    on_cpu: tuple[str, ...]
    problems: tuple[str, ...]


def export(shipment: Shipment, path: Path) -> None:
    """`image` uint8 [1, H, W, C] -> scores uint8 [1, classes]. Raises Fault for a net that the compiler would leave to
    the CPU."""
    data = convert(shipment.model, form=TfliteForm.UINT8, representative=shipment.representative)
    check = check_edge_tpu(data)
    if check.problems:
        raise Fault(
            f"the Edge TPU cannot take this net: {'; '.join(check.problems)}",
            hint="tflite-int8 runs the same net on a CPU",
        )
    description = f"{shipment.description} To be compiled: edgetpu_compiler {path.name}".strip()
    if check.on_cpu:
        description += f" (on the CPU stay, at the end: {', '.join(check.on_cpu)})"
    write_tflite(data, path, shipment.labels, name=shipment.name, description=description)


def check_edge_tpu(model: bytes) -> EdgeTpuCheck:
    """Operators, types and shapes of a TFLite model, held against what the Edge TPU compiler takes."""
    tree = read_tree(model)
    graph = tree.subgraphs[0]
    operators = tuple(operator_names(tree))
    heavy = [place for place, name in enumerate(operators) if name in HEAVY_OPERATORS]
    unknown = [place for place, name in enumerate(operators) if name not in KNOWN_OPERATORS]
    before = sorted({operators[place] for place in unknown if heavy and place < heavy[-1]})
    problems = [f"operators that its compiler does not know: {', '.join(before)}"] if before else []
    if len(tree.subgraphs) > 1:
        problems.append("more than one subgraph")
    if not heavy:
        problems.append("no convolution or dense layer")
    problems += _tensor_problems(graph)
    return EdgeTpuCheck(operators, operators[unknown[0] :] if unknown else (), tuple(problems))


def _tensor_problems(graph: Any) -> Iterator[str]:
    types = names_of(schema().TensorType)
    used = {place for operator in graph.operators for place in (*operator.inputs, *operator.outputs) if place >= 0}
    tensors = [graph.tensors[place] for place in sorted(used)]
    other = sorted({types[tensor.type] for tensor in tensors} - INTEGERS)
    if other:
        yield f"tensors of type {', '.join(other)}"
    if any(tensor.shapeSignature is not None and -1 in tensor.shapeSignature for tensor in tensors):
        yield "a batch of any size"
    ends = {types[graph.tensors[place].type] for place in (*graph.inputs, *graph.outputs)}
    if ends - {"INT8", "UINT8"}:
        yield f"inputs and outputs of type {', '.join(sorted(ends))}"
