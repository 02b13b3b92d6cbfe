"""TF.js graph model, written directly: model.json with the frozen, optimised GraphDef as JSON, and the weights as
binary shards.

The official converter cannot be installed beside a current TensorFlow; the format is small: the graph's constants move
out of the nodes into one little-endian run of bytes, cut into shards of 4 MB, with a manifest of their names, shapes
and types in that order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cxr.errors import Fault
from cxr.local_baseline.exports.frozen_graph import INPUT_NAME, frozen_graph, output_shapes
from cxr.local_baseline.exports.fusing import fuse_convolutions
from cxr.local_baseline.exports.nouns import Shipment
from cxr.local_baseline.exports.tfjs_weights import MIDDLE_VALUES, TfjsForm, Weight, exact, halved, is_large, levelled
from cxr.local_baseline.tensorflow_setup import load
from cxr.version import __version__

MODEL_FILE = "model.json"
SHARD_BYTES = 4 * 1024 * 1024
#: TF.js has no 64-bit integers: such constants (axes, shapes) become int32.
DTYPES = {"float32": "float32", "int32": "int32", "int64": "int32", "bool": "bool"}
#: Operations whose second input is a large weight, and the axes of its channels. The kernels of depthwise convolutions
#: are small, and each value of them counts for a whole channel: they keep more bits than the others.
CHANNELS = {
    "Conv2D": (3,),
    "_FusedConv2D": (3,),
    "MatMul": (1,),
    "DepthwiseConv2dNative": (2, 3),
    "FusedDepthwiseConv2dNative": (2, 3),
}
DEPTHWISE = {"DepthwiseConv2dNative", "FusedDepthwiseConv2dNative"}


def export(shipment: Shipment, path: Path) -> None:
    """Write the shipment's form of its model into the folder `path`, with the maps where the net has them, for any
    batch."""
    metadata = {"classes": list(shipment.labels), "description": shipment.description}
    model = shipment.mapped or shipment.model
    export_tfjs(model, path, batch_size=None, metadata=metadata, form=TfjsForm(shipment.form))


def export_tfjs(
    model: Any,
    folder: Path,
    *,
    batch_size: int | None,
    metadata: Mapping[str, Any] | None = None,
    form: TfjsForm = TfjsForm.FLOAT32,
) -> None:
    """Write `model` into `folder` as a TF.js graph model: model.json and group1-shardNofM.bin.

    Input node `image` float32 [batch_size, H, W, C] as the model takes it; output node `scores` float32 [batch_size,
    classes] (a sigmoid model's two columns are 1 - p and p), and `maps` for a model with that second output. `form` is
    what weights are stored as. `metadata` lands in model.json as userDefinedMetadata.
    """
    graph = fuse_convolutions(frozen_graph(model, batch_size), list(output_shapes(model, batch_size)))
    users = {node.input[1]: node.op for node in graph.node if node.op in CHANNELS}
    weights = [
        weight
        for node in list(graph.node)
        if node.op == "Const"
        for weight in _stored(graph, node, _take_value(node), form, users.get(node.name))
    ]
    shards = _shards(b"".join(weight.value.tobytes() for weight in weights))
    names = [f"group1-shard{number}of{len(shards)}.bin" for number in range(1, len(shards) + 1)]
    folder.mkdir(parents=True, exist_ok=True)
    for name, shard in zip(names, shards, strict=True):
        (folder / name).write_bytes(shard)
    document = {
        "format": "graph-model",
        "generatedBy": str(load().tf.__version__),
        "convertedBy": f"cxr {__version__}",
        "signature": _signature(model, batch_size),
        "userDefinedMetadata": dict(metadata or {}),
        "modelTopology": _as_json(graph),
        "weightsManifest": [{"paths": names, "weights": [weight.entry() for weight in weights]}],
    }
    (folder / MODEL_FILE).write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")


def _take_value(node: Any) -> npt.NDArray[Any]:
    """Move a constant's value out of its node; type and shape stay."""
    tf = load().tf
    value = np.asarray(tf.make_ndarray(node.attr["value"].tensor))
    dtype = DTYPES.get(str(value.dtype))
    if dtype is None:
        raise Fault(f"the graph has a constant of type {value.dtype} ({node.name}), which TF.js does not know")
    _make_constant(node, node.name, value.shape, tf.as_dtype(dtype).as_datatype_enum)
    return value.astype(dtype)


def _stored(graph: Any, node: Any, value: npt.NDArray[Any], form: TfjsForm, user: str | None) -> list[Weight]:
    """What a constant's node (which may be rewritten) needs in the shards. `user`: the operation that it is a weight
    of."""
    if form is TfjsForm.FLOAT32 or user is None or not is_large(value):
        return [exact(node.name, value)]
    if user in DEPTHWISE and form is not TfjsForm.UINT8:
        return [exact(node.name, value)]
    if form is TfjsForm.FLOAT16:
        return [halved(node.name, value)]
    finer = TfjsForm.UINT16 if user in DEPTHWISE or value.size < MIDDLE_VALUES else form
    found = levelled(f"{node.name}/levels", value, _channels(user, graph, node.name), finer)
    constants = [found.levels, exact(f"{node.name}/scale", found.scale), exact(f"{node.name}/shift", found.shift)]
    kind = node.attr["dtype"].type
    for weight in constants:
        _make_constant(graph.node.add(), weight.name, weight.value.shape, kind)
    product = f"{node.name}/scaled"
    _make_operation(graph.node.add(), product, "Mul", [constants[0].name, constants[1].name], kind)
    _make_operation(node, node.name, "AddV2", [product, constants[2].name], kind)
    return constants


def _channels(user: str, graph: Any, name: str) -> tuple[int, ...]:
    transposed = any(
        node.op == "MatMul" and node.input[1] == name and node.attr["transpose_b"].b for node in graph.node
    )
    return (0,) if transposed else CHANNELS[user]


def _make_constant(node: Any, name: str, shape: tuple[int, ...], kind: int) -> None:
    """Make a node a constant without a value."""
    node.name, node.op = name, "Const"
    node.attr["dtype"].type = kind
    tensor = node.attr["value"].tensor
    tensor.Clear()
    tensor.dtype = kind
    tensor.tensor_shape.SetInParent()
    for size in shape:
        tensor.tensor_shape.dim.add().size = size


def _make_operation(node: Any, name: str, op: str, inputs: list[str], kind: int) -> None:
    node.Clear()
    node.name, node.op = name, op
    node.input.extend(inputs)
    node.attr["T"].type = kind


def _shards(data: bytes) -> list[bytes]:
    return [data[start : start + SHARD_BYTES] for start in range(0, len(data), SHARD_BYTES)] or [b""]


def _signature(model: Any, batch_size: int | None) -> dict[str, Any]:
    return {
        "inputs": {INPUT_NAME: _tensor_info(INPUT_NAME, (batch_size, *model.input_shape[1:]))},
        "outputs": {name: _tensor_info(name, shape) for name, shape in output_shapes(model, batch_size).items()},
    }


def _tensor_info(node: str, shape: tuple[int | None, ...]) -> dict[str, Any]:
    sizes = [{"size": str(-1 if size is None else size)} for size in shape]
    return {"name": f"{node}:0", "dtype": "DT_FLOAT", "tensorShape": {"dim": sizes}}


def _as_json(graph: Any) -> Any:
    # protobuf comes with TensorFlow; it is not needed where no model is exported.
    from google.protobuf import json_format

    graph.library.Clear()
    for node in graph.node:
        for key in [key for key in node.attr if key.startswith("_")]:  # notes of the runtime, such as output shapes
            del node.attr[key]
    return json_format.MessageToDict(graph)
