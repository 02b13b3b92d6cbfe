"""A TF.js graph model's files, checked without running them.

Source: the format of tfjs-converter: model.json with the graph and a manifest of weights in shards.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr.documents import parse_json
from cxr.errors import InputError
from cxr.importing.members import member

#: Bytes of one value in a weights shard (tfjs-converter's weights manifest).
DTYPE_BYTES = {"float32": 4, "int32": 4, "uint32": 4, "float16": 2, "uint16": 2, "uint8": 1, "bool": 1, "complex64": 8}
MODEL_FILE = "model.json"


@dataclass(frozen=True, slots=True)
class GraphModel:
    """`nodes` by name, the `document` of model.json, the weights' files and their bytes together."""

    document: Mapping[str, Any]
    nodes: Mapping[str, Any]
    shards: tuple[str, ...]
    stored: int

    def input_shape(self) -> list[int] | None:
        """The shape of the only placeholder, -1 for what is open; None when there is not one, or without a shape."""
        found = [node for node in self.nodes.values() if node.get("op") == "Placeholder"]
        try:
            return node_shape(found[0]) if len(found) == 1 else None
        except (AttributeError, TypeError, ValueError, OverflowError):
            return None


def is_layers_model(folder: Path) -> bool:
    """Whether model.json is a layers model: Keras layers to be built, and no graph."""
    try:
        document = parse_json((folder / MODEL_FILE).read_text(encoding="utf-8"))
        return document.get("format") == "layers-model" or "node" not in document["modelTopology"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def read_graph_model(folder: Path) -> GraphModel:
    """Raises InputError for what is no graph model, or not whole, or has weights outside its folder; the message
    goes on behind `it is broken: `."""
    try:
        document = parse_json(member(folder, MODEL_FILE).read_text(encoding="utf-8"))
        nodes = {node["name"]: node for node in document["modelTopology"]["node"]}
        manifest = document["weightsManifest"]
        wanted = sum(_weight_bytes(weight) for group in manifest for weight in group["weights"])
        paths = tuple(path for group in manifest for path in group["paths"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(f"{MODEL_FILE} is no graph model ({type(error).__name__}: {error})") from error
    absent = [path for path in paths if not member(folder, path).is_file()]
    if absent:
        raise InputError(f"its weights {', '.join(absent)} are missing")
    stored = sum((folder / path).stat().st_size for path in paths)
    if stored != wanted:
        raise InputError(f"its weights have {stored:,} bytes, {MODEL_FILE} counts {wanted:,}")
    return GraphModel(document, nodes, paths, stored)


def node_shape(node: Mapping[str, Any]) -> list[int] | None:
    """The shape that a node of the graph declares."""
    return sizes_of(node.get("attr", {}).get("shape", {}).get("shape"))


def sizes_of(shape: Any) -> list[int] | None:
    """A tensor's shape as the file writes it: numbers, -1 for what is open."""
    sizes = shape.get("dim") if isinstance(shape, dict) else None
    return [int(one.get("size", -1)) for one in sizes] if sizes else None


def _weight_bytes(weight: Mapping[str, Any]) -> int:
    dtype = weight.get("quantization", weight)["dtype"]
    if dtype not in DTYPE_BYTES:
        raise ValueError(f"weights of type {dtype}")
    count: int = math.prod(weight["shape"])
    return DTYPE_BYTES[dtype] * count
