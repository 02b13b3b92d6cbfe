"""SavedModel: one signature, `serving_default`, from `image` to `scores`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cxr.local_baseline.tensorflow_setup import load

INPUT_NAME = "image"
OUTPUT_NAME = "scores"


def export_saved_model(model: Any, folder: Path) -> None:
    """Write `model` as a SavedModel. `image` float32 [N, H, W, C] of 0..255 -> `scores` float32 [N, 1] or [N,
    classes]."""
    tf = load().tf
    spec = tf.TensorSpec(model.input_shape, tf.float32, name=INPUT_NAME)

    def serve(image: Any) -> dict[str, Any]:
        return {OUTPUT_NAME: model(image, training=False)}

    # A plain module, not Keras's ExportArchive: that writes every variable twice.
    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    module.serve = tf.function(serve, input_signature=[spec])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})
