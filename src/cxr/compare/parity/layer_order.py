"""Why 8 bits may not do for a net: batch norm behind an activation, read from the Keras file alone."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cxr.documents import parse_json

CONFIG = "config.json"


def unfoldable(keras_file: Path) -> tuple[str, str] | None:
    """The first batch norm that follows an activation, and the layer before it; None when there is none, or the file
    cannot be read.

    Behind a convolution batch norm goes into its kernel; behind its activation it cannot, and channels keep ranges that
    one scale of 8 bits for the whole tensor does not hold.
    """
    try:
        with zipfile.ZipFile(keras_file) as archive:
            config = parse_json(archive.read(CONFIG))
        return next(_pairs(config), None)
    except (OSError, ValueError, KeyError, TypeError, IndexError, zipfile.BadZipFile):
        return None


def _pairs(model: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    layers = model["config"]["layers"]
    by_name = {layer["config"]["name"]: layer for layer in layers}
    before = None
    for layer in layers:
        if "layers" in layer["config"]:
            yield from _pairs(layer)
        source = by_name.get(_input_of(layer), before) if layer.get("inbound_nodes") else before
        if layer["class_name"] == "BatchNormalization" and source is not None and _activates(source):
            yield layer["config"]["name"], source["config"]["name"]
        before = layer


def _input_of(layer: Mapping[str, Any]) -> str:
    return str(layer["inbound_nodes"][0]["args"][0]["config"]["keras_history"][0])


def _activates(layer: Mapping[str, Any]) -> bool:
    kind, activation = layer["class_name"], layer["config"].get("activation", "linear")
    return kind in {"ReLU", "LeakyReLU", "ELU"} or activation not in {"linear", None}
