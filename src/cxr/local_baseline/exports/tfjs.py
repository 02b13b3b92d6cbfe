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

from cxr.errors import Fault
from cxr.local_baseline.exports.frozen_graph import INPUT_NAME, frozen_graph, output_shapes
from cxr.local_baseline.exports.fusing import fuse_convolutions
from cxr.local_baseline.exports.nouns import Shipment
from cxr.local_baseline.exports.tfjs_weights import TfjsForm, Weight, stored
from cxr.local_baseline.tensorflow_setup import load
from cxr.version import __version__

MODEL_FILE = "model.json"
SHARD_BYTES = 4 * 1024 * 1024
#: TF.js has no 64-bit integers: such constants (axes, shapes) become int32.
DTYPES = {"float32": "float32", "int32": "int32", "int64": "int32", "bool": "bool"}
#: The kernels of these have few values for each channel, and very different ranges from channel to channel.
DEPTHWISE = ("DepthwiseConv2dNative", "FusedDepthwiseConv2dNative")


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
    delicate = {node.input[1] for node in graph.node if node.op in DEPTHWISE}
    weights = [_take_weight(node, form, delicate) for node in graph.node if node.op == "Const"]
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


def _take_weight(node: Any, form: TfjsForm, delicate: set[str]) -> Weight:
    """Move a constant's value out of its node; type and shape stay."""
    tf = load().tf
    tensor = node.attr["value"].tensor
    value = np.asarray(tf.make_ndarray(tensor))
    dtype = DTYPES.get(str(value.dtype))
    if dtype is None:
        raise Fault(f"the graph has a constant of type {value.dtype} ({node.name}), which TF.js does not know")
    kind = tf.as_dtype(dtype).as_datatype_enum
    node.attr["dtype"].type = kind
    tensor.Clear()
    tensor.dtype = kind
    tensor.tensor_shape.SetInParent()
    for size in value.shape:
        tensor.tensor_shape.dim.add().size = size
    return stored(node.name, value.astype(dtype), form, delicate)


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
