"""A TFLite file as a tree of objects that can be read and changed, and its layers."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

IDENTIFIER = b"TFL3"
#: Operators with weights: inputs are the activation, the weights and (where there is one) the bias.
LINEAR = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})
#: Since when DEQUANTIZE takes float16 (tensorflow/lite/tools/versioning/op_version.cc).
HALF_VERSION = 3
_FIRST_BYTES = 4096


def schema() -> Any:
    """The classes of TFLite's schema."""
    return importlib.import_module("tensorflow.lite.python.schema_py_generated")


def read_tree(model: bytes) -> Any:
    """The model as the schema's object tree."""
    return schema().ModelT.InitFromObj(schema().Model.GetRootAsModel(model, 0))


def packed(tree: Any) -> bytes:
    """The file of a tree."""
    builder = importlib.import_module("flatbuffers").Builder(_FIRST_BYTES)
    builder.Finish(tree.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def names_of(enumeration: Any) -> dict[int, str]:
    """Value -> name of one of the schema's enumerations."""
    return {number: name for name, number in vars(enumeration).items() if isinstance(number, int)}


def operator_names(tree: Any) -> Iterator[str]:
    """The operators of the first subgraph, in their order, by the schema's names."""
    names = names_of(schema().BuiltinOperator)
    for operator in tree.subgraphs[0].operators:
        code = tree.operatorCodes[operator.opcodeIndex]
        # Small codes are in the older field of one byte.
        yield names[max(code.builtinCode, code.deprecatedBuiltinCode)]


def linear_operators(tree: Any) -> list[tuple[str, Any]]:
    """The operators with weights, in their order, with their names."""
    found = zip(operator_names(tree), tree.subgraphs[0].operators, strict=True)
    return [(name, operator) for name, operator in found if name in LINEAR]


def constant(tree: Any, place: int) -> npt.NDArray[Any] | None:
    """The stored values of a tensor, in its shape and type; None for one that is computed."""
    tensor = tree.subgraphs[0].tensors[place]
    data = tree.buffers[tensor.buffer].data
    if data is None or not len(data):
        return None
    dtype = np.dtype(names_of(schema().TensorType)[tensor.type].lower())
    return np.frombuffer(np.asarray(data, np.uint8).tobytes(), dtype).reshape(tensor.shape)


def set_constant(tree: Any, place: int, values: npt.NDArray[Any]) -> None:
    """Give a tensor values of its own, and their type; other tensors of the same buffer keep theirs."""
    tensor = tree.subgraphs[0].tensors[place]
    tensor.type = getattr(schema().TensorType, values.dtype.name.upper())
    before, tensor.buffer = tensor.buffer, _new_buffer(tree, values)
    _empty_unused(tree, before)


def halve(tree: Any, place: int) -> None:
    """Store a float32 constant in half precision; an operator brings it back when the model is loaded."""
    graph, values = tree.subgraphs[0], constant(tree, place)
    assert values is not None
    stored = copy.copy(graph.tensors[place])
    stored.name = bytes(stored.name) + b"/half"
    stored.type = schema().TensorType.FLOAT16
    stored.buffer = _new_buffer(tree, values.astype(np.float16))
    graph.tensors.append(stored)
    before, graph.tensors[place].buffer = graph.tensors[place].buffer, 0  # the empty one: computed
    _empty_unused(tree, before)
    operator = schema().OperatorT()
    operator.opcodeIndex = _dequantize_code(tree)
    operator.inputs, operator.outputs = [len(graph.tensors) - 1], [place]
    graph.operators.insert(0, operator)


def _new_buffer(tree: Any, values: npt.NDArray[Any]) -> int:
    buffer = schema().BufferT()
    buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
    tree.buffers.append(buffer)
    return len(tree.buffers) - 1


def _empty_unused(tree: Any, number: int) -> None:
    """Take the values out of a buffer that no tensor has any more."""
    if not any(tensor.buffer == number for graph in tree.subgraphs for tensor in graph.tensors):
        tree.buffers[number].data = None


def _dequantize_code(tree: Any) -> int:
    kind = schema().BuiltinOperator.DEQUANTIZE
    for place, code in enumerate(tree.operatorCodes):
        if code.builtinCode == kind and code.version >= HALF_VERSION:
            return place
    code = schema().OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = kind
    code.version = HALF_VERSION
    tree.operatorCodes.append(code)
    return len(tree.operatorCodes) - 1
