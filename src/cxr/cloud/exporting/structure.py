"""What can be told of an exported model without running it: the right files, whole, with the promised inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cxr.cloud.exporting.formats import ExportFormat
from cxr.errors import CheckFailed, InputError
from cxr.importing.contracts import AUTOML_PREPROCESSING
from cxr.importing.graph_model import GraphModel, node_shape, read_graph_model, sizes_of
from cxr.importing.tflite_files import TFLITE_IDENTIFIER, is_compiled

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


def model_file(folder: Path, one: ExportFormat) -> Path:
    """The model of one format's folder (the folder that holds the marker when the model is a folder).

    Raises CheckFailed when it is not there, or more than once.
    """
    found = sorted(path for path in folder.rglob(one.marker) if path.is_file() and path.stat().st_size > 0)
    if len(found) != 1:
        said = "no" if not found else f"{len(found)}"
        raise broken(one, f"it has {said} {one.marker}")
    return found[0] if one.model else found[0].parent


def check_structure(folder: Path, one: ExportFormat, classes: int) -> str:
    """What was checked, in words. Raises CheckFailed for one that is not whole or not as documented."""
    model = model_file(folder, one)
    return _CHECKS[one.name](model, one, classes)


def broken(one: ExportFormat, why: str) -> CheckFailed:
    """The error for a model that must not become a bundle."""
    return CheckFailed(f"the exported {one.name} model is broken: {why}", hint="export it anew: --again")


def _tflite(model: Path, one: ExportFormat, classes: int) -> str:
    del classes
    with model.open("rb") as stream:
        head = stream.read(8)
    if head[4:8] != TFLITE_IDENTIFIER:
        raise broken(one, f"{model.name} is no TFLite file")
    return "a TFLite file" + (", compiled for the Edge TPU" if is_compiled(model) else "")


def _saved_model(model: Path, one: ExportFormat, classes: int) -> str:
    del classes
    variables = model / "variables"
    if variables.is_dir() and not (variables / "variables.index").is_file():
        raise broken(one, "variables/ has no variables.index")
    return "a SavedModel"


def _core_ml(model: Path, one: ExportFormat, classes: int) -> str:
    del classes
    data = model.read_bytes()
    # Model.proto of Core ML: field 1 is specificationVersion, and a message ends where its last field does.
    if not data.startswith(b"\x08") or not _is_message(data):
        raise broken(one, f"{model.name} is no Core ML specification")
    return f"a Core ML specification of {len(data):,} bytes, not run"


def _tfjs(model: Path, one: ExportFormat, classes: int) -> str:
    try:
        graph = read_graph_model(model)
    except InputError as error:
        raise broken(one, error.message) from error
    _check_ends(graph, one, classes)
    return f"a graph model of {len(graph.nodes)} nodes, weights of {graph.stored:,} bytes whole, not run"


def _check_ends(graph: GraphModel, one: ExportFormat, classes: int) -> None:
    """Input image:0 [1, 224, 224, 3] and output scores:0 [1, classes], as far as the file says."""
    name, result = (str(one.contract[key]).partition(":")[0] for key in ("input", "output"))
    for node in (name, result):
        if node not in graph.nodes:
            raise broken(one, f"it has no node {node!r}")
    side = AUTOML_PREPROCESSING
    shape = _shape_of(graph.document, "inputs", name) or node_shape(graph.nodes[name])
    if shape is not None and shape[1:] != [side.height, side.width, side.channels]:
        raise broken(one, f"its input is {shape}, not [1, {side.height}, {side.width}, {side.channels}]")
    outputs = _shape_of(graph.document, "outputs", result)
    if outputs is not None and outputs[-1] not in {classes, -1}:
        raise broken(one, f"it has {outputs[-1]} scores, and there are {classes} labels")


def _shape_of(document: Mapping[str, Any], side: str, name: str) -> list[int] | None:
    signature = document.get("signature")
    ends = signature.get(side) if isinstance(signature, dict) else None
    for key, end in ends.items() if isinstance(ends, dict) else ():
        if name in {key, str(end.get("name", "")).partition(":")[0]}:
            return sizes_of(end.get("tensorShape"))
    return None


def _is_message(data: bytes) -> bool:
    """Whether bytes are a protocol buffer message at the top level."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        kind = tag & 7
        if kind == _VARINT:
            _, position = _varint(data, position)
        elif kind == _LENGTH:
            length, position = _varint(data, position)
            position += length
        elif kind in (_FIXED64, _FIXED32):
            position += 8 if kind == _FIXED64 else 4
        else:
            return False
    return position == len(data)


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        shift, position = shift + 7, position + 1
        if byte < 0x80:
            return value, position
    return value, len(data) + 1


_CHECKS: dict[str, Callable[[Path, ExportFormat, int], str]] = {
    "tflite": _tflite,
    "edgetpu-tflite": _tflite,
    "saved-model": _saved_model,
    "core-ml": _core_ml,
    "tf-js": _tfjs,
}
