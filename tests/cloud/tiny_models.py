"""Model files that are real and say next to nothing: made in milliseconds, without TensorFlow."""

from __future__ import annotations

import importlib.util
import io
import json
import zipfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np

SIDE = 224
Scale = tuple[float, int]


def tflite(labels: Sequence[str], logits: Sequence[float]) -> bytes:
    """uint8 [1, 224, 224, 3] -> uint8 [1, labels]: the softmax of `logits` plus a hundredth of the mean brightness of
    the image, the same for each label (so that every pixel is read and none matters)."""
    schema = _schema()
    graph = _Graph(schema)
    image = graph.tensor("image", (1, SIDE, SIDE, 3), schema.TensorType.UINT8, (1.0, 0))
    pooled = graph.tensor("pooled", (1, 1, 1, 3), schema.TensorType.UINT8, (1.0, 0))
    flat = graph.tensor("flat", (1, 3), schema.TensorType.UINT8, (1.0, 0))
    count = len(labels)
    weights = np.full((count, 3), 129, np.uint8)
    matrix = graph.tensor("weights", (count, 3), schema.TensorType.UINT8, (0.001, 128), weights)
    bias = graph.tensor("bias", (count,), schema.TensorType.INT32, (0.001, 0), np.rint(np.array(logits) * 1000))
    shape = graph.tensor("shape", (2,), schema.TensorType.INT32, None, np.array([1, 3]))
    raw = graph.tensor("raw", (1, count), schema.TensorType.UINT8, (0.1, 128))
    scores = graph.tensor("scores", (1, count), schema.TensorType.UINT8, (1 / 256, 0))
    builtin, options = schema.BuiltinOperator, schema.BuiltinOptions
    pool = schema.Pool2DOptionsT()
    pool.padding, pool.strideH, pool.strideW, pool.filterHeight, pool.filterWidth = 1, 1, 1, SIDE, SIDE
    softmax = schema.SoftmaxOptionsT()
    softmax.beta = 1.0
    graph.operator(builtin.AVERAGE_POOL_2D, [image], pooled, options.Pool2DOptions, pool)
    graph.operator(builtin.RESHAPE, [pooled, shape], flat, options.ReshapeOptions, schema.ReshapeOptionsT())
    graph.operator(
        builtin.FULLY_CONNECTED,
        [flat, matrix, bias],
        raw,
        options.FullyConnectedOptions,
        schema.FullyConnectedOptionsT(),
    )
    graph.operator(builtin.SOFTMAX, [raw], scores, options.SoftmaxOptions, softmax)
    return _with_labels(graph.file([image], [scores]), labels)


def tfjs(folder: Path, labels: Sequence[str], *, side: int = SIDE, lost_bytes: int = 0) -> None:
    """A graph model's files with the service's inputs and outputs; what lies between them is left out."""
    folder.mkdir(parents=True)
    shape = {"dim": [{"size": str(size)} for size in (1, side, side, 3)]}
    document = {
        "format": "graph-model",
        "modelTopology": {
            "node": [
                {"name": "image", "op": "Placeholder", "attr": {"shape": {"shape": shape}}},
                {"name": "weights", "op": "Const"},
                {"name": "scores", "op": "Identity", "input": ["weights"]},
            ]
        },
        "weightsManifest": [
            {
                "paths": ["group1-shard1of1.bin"],
                "weights": [{"name": "weights", "shape": [1, len(labels)], "dtype": "float32"}],
            }
        ],
    }
    (folder / "model.json").write_text(json.dumps(document))
    (folder / "group1-shard1of1.bin").write_bytes(bytes(4 * len(labels) - lost_bytes))
    (folder / "dict.txt").write_text("".join(f"{label}\n" for label in labels))


class _Graph:
    def __init__(self, schema: Any) -> None:
        self._schema = schema
        self._graph = schema.SubGraphT()
        self._graph.tensors, self._graph.operators = [], []
        self._buffers = [schema.BufferT()]
        self._codes: list[Any] = []

    def tensor(self, name: str, shape: tuple[int, ...], kind: int, scale: Scale | None, values: Any = None) -> int:
        tensor = self._schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name.encode(), list(shape), kind
        if scale is not None:
            tensor.quantization = self._schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [scale[0]], [scale[1]]
        if values is not None:
            buffer = self._schema.BufferT()
            dtype = np.uint8 if kind == self._schema.TensorType.UINT8 else np.int32
            buffer.data = list(np.asarray(values).astype(dtype).tobytes())
            self._buffers.append(buffer)
            tensor.buffer = len(self._buffers) - 1
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def operator(self, builtin: int, inputs: list[int], output: int, kind: int, options: Any) -> None:
        code = self._schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = builtin
        code.version = 1
        self._codes.append(code)
        operator = self._schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = len(self._codes) - 1, inputs, [output]
        operator.builtinOptionsType, operator.builtinOptions = kind, options
        self._graph.operators.append(operator)

    def file(self, inputs: list[int], outputs: list[int]) -> bytes:
        self._graph.inputs, self._graph.outputs = inputs, outputs
        model = self._schema.ModelT()
        model.version, model.operatorCodes = 3, self._codes
        model.subgraphs, model.buffers = [self._graph], self._buffers
        builder = flatbuffers.Builder(4096)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


def _with_labels(model: bytes, labels: Sequence[str]) -> bytes:
    stream = io.BytesIO(model)
    stream.seek(0, io.SEEK_END)
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("labels.txt", "".join(f"{label}\n" for label in labels))
    return stream.getvalue()


@cache
def _schema() -> Any:
    # By its path: importing it by name would load all of TensorFlow.
    found = importlib.util.find_spec("tensorflow")
    assert found is not None
    assert found.origin is not None
    path = Path(found.origin).parent / "lite" / "python" / "schema_py_generated.py"
    spec = importlib.util.spec_from_file_location("tflite_schema", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
