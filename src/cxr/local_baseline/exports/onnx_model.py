"""ONNX, from the frozen graph through tf2onnx."""

from __future__ import annotations

import json
from pathlib import Path

from cxr.local_baseline.exports.frozen_graph import INPUT_NAME, SCORES_NAME, frozen_graph
from cxr.local_baseline.exports.nouns import Shipment

#: The newest operators that tf2onnx writes and all runtimes of the last years read.
OPSET = 17


def export(shipment: Shipment, path: Path) -> None:
    """`image` float32 [N, H, W, C] of 0..255 -> `scores` float32 [N, classes]; the labels are in the file's metadata as
    `labels`, a JSON list."""
    import onnx
    from tf2onnx import convert

    ends = {f"{INPUT_NAME}:0": INPUT_NAME, f"{SCORES_NAME}:0": SCORES_NAME}
    model, _ = convert.from_graph_def(
        frozen_graph(shipment.model, batch_size=None),
        name=shipment.name,
        input_names=[f"{INPUT_NAME}:0"],
        output_names=[f"{SCORES_NAME}:0"],
        opset=OPSET,
        tensors_to_rename=ends,
    )
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "N"
    model.doc_string = shipment.description
    onnx.helper.set_model_props(model, {"labels": json.dumps(shipment.labels)})
    onnx.checker.check_model(model)
    onnx.save(model, path)
