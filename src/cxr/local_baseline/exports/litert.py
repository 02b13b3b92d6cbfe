"""TFLite with a batch of any size, for LiteRT's CompiledModel and LiteRT.js."""

from __future__ import annotations

from pathlib import Path

from cxr.local_baseline.exports.nouns import Shipment
from cxr.local_baseline.exports.tflite import convert, write_tflite


def export(shipment: Shipment, path: Path) -> None:
    """Signature `serving_default`: `image` float32 [N, H, W, C] of 0..255 -> `scores` float32 [N, classes]."""
    data = convert(shipment.model, batch_size=None)
    write_tflite(data, path, shipment.labels, name=shipment.name, description=shipment.description)
