"""SavedModels, which may come from anywhere: a graph is a program, and what it may do beside arithmetic is looked at
before it is loaded.

TensorFlow itself says that a model is code (https://github.com/tensorflow/tensorflow/blob/master/SECURITY.md). What a
graph may have is listed in graph_operations.txt: nothing in it reads or writes files, calls Python or asks a network,
which no image classifier does. The operations that write and read a model's own weights (SaveV2, RestoreV2) are in
every SavedModel and stay: run a model of strangers on a machine that holds nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from cxr.errors import InputError, first_line
from cxr.local_baseline.tensorflow_setup import load

SAVED_MODEL_FILE: Final = "saved_model.pb"
#: Protocol buffers have at most 2 GiB; a graph without weights has some megabytes.
MAX_GRAPH_BYTES: Final = 512 << 20
_LIST: Final = Path(__file__).with_name("graph_operations.txt")
#: Where PrintV2 may write to.
_STREAMS: Final = re.compile(rb"(?:stdout|stderr|log\(\w+\))?")


def load_saved_model(folder: Path) -> Any:
    """TensorFlow's object of a SavedModel. Raises InputError when it cannot be read, or is more than arithmetic."""
    check_saved_model(folder)
    try:
        return load().tf.saved_model.load(str(folder))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        raise InputError(f"cannot load the model {folder}: {first_line(error)}") from error


def check_saved_model(folder: Path) -> None:
    """Raises InputError for a graph with operations that are not on the list. Nothing is loaded."""
    path = folder / SAVED_MODEL_FILE
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= MAX_GRAPH_BYTES else b""
    except OSError as error:
        raise InputError(f"cannot load the model {folder}: {error.strerror or error}") from error
    if not data:
        raise InputError(f"cannot load the model {folder}: {SAVED_MODEL_FILE} has {size:,} bytes")
    load()
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    model = SavedModel()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise InputError(f"cannot load the model {folder}: {SAVED_MODEL_FILE} is none") from error
    for node in _nodes(model):
        prints = node.op == "PrintV2" and not _STREAMS.fullmatch(node.attr["output_stream"].s)
        if prints or node.op not in allowed_operations():
            raise InputError(
                f"{folder} is more than a model: its graph has the operation {node.op}",
                hint="what reads files or calls programs runs on whoever loads it; export the model without",
            )


@cache
def allowed_operations() -> frozenset[str]:
    """The names in graph_operations.txt."""
    lines = _LIST.read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


def _nodes(model: Any) -> Iterator[Any]:
    for graph in model.meta_graphs:
        yield from graph.graph_def.node
        for function in graph.graph_def.library.function:
            yield from function.node_def
