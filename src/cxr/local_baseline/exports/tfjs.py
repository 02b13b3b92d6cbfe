"""TF.js graph model, written directly: model.json with the frozen, optimised GraphDef as JSON, and the weights as
binary shards.

The official converter cannot be installed beside a current TensorFlow; the format is small: the graph's constants move
out of the nodes into one little-endian run of bytes, cut into shards of 4 MB, with a manifest of their names, shapes
and types in that order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cxr.errors import Fault
from cxr.local_baseline.exports.frozen_graph import INPUT_NAME, OUTPUT_NAME, frozen_graph
from cxr.local_baseline.tensorflow_setup import load
from cxr.version import __version__

MODEL_FILE = "model.json"
SHARD_BYTES = 4 * 1024 * 1024
#: TF.js has no 64-bit integers: such constants (axes, shapes) become int32.
DTYPES = {"float32": "float32", "int32": "int32", "int64": "int32", "bool": "bool"}


@dataclass(frozen=True, slots=True)
class Weight:
    """One constant of the graph: node name and value (float32, int32 or bool)."""

    name: str
    value: npt.NDArray[Any]

    def entry(self) -> dict[str, Any]:
        """Its line in the weights manifest."""
        return {"name": self.name, "shape": list(self.value.shape), "dtype": str(self.value.dtype)}


def export_tfjs(model: Any, folder: Path, *, batch_size: int | None, metadata: Mapping[str, Any] | None = None) -> None:
    """Write `model` into `folder` as a TF.js graph model: model.json and group1-shardNofM.bin.

    Input node `image` float32 [batch_size, H, W, C] as the model takes it; output node `scores` float32 [batch_size,
    classes] (a sigmoid model's two columns are 1 - p and p). `metadata` lands in model.json as userDefinedMetadata.
    """
    graph = frozen_graph(model, batch_size)
    weights = [_take_weight(node) for node in graph.node if node.op == "Const"]
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


def _take_weight(node: Any) -> Weight:
    """Move a constant's value out of its node; type and shape stay."""
    tf = load().tf
    tensor = node.attr["value"].tensor
    value = np.asarray(tf.make_ndarray(tensor))
    dtype = DTYPES.get(str(value.dtype))
    if dtype is None:
        raise Fault(f"the graph has a constant of type {value.dtype} ({node.name}), which TF.js does not know")
    value = value.astype(np.dtype(dtype).newbyteorder("<"))
    kind = tf.as_dtype(dtype).as_datatype_enum
    node.attr["dtype"].type = kind
    tensor.Clear()
    tensor.dtype = kind
    tensor.tensor_shape.SetInParent()
    for size in value.shape:
        tensor.tensor_shape.dim.add().size = size
    return Weight(node.name, value)


def _shards(data: bytes) -> list[bytes]:
    return [data[start : start + SHARD_BYTES] for start in range(0, len(data), SHARD_BYTES)] or [b""]


def _signature(model: Any, batch_size: int | None) -> dict[str, Any]:
    classes = max(int(model.output_shape[-1]), 2)
    return {
        "inputs": {INPUT_NAME: _tensor_info(INPUT_NAME, (batch_size, *model.input_shape[1:]))},
        "outputs": {OUTPUT_NAME: _tensor_info(OUTPUT_NAME, (batch_size, classes))},
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
