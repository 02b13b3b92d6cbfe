"""Model evaluations and their slices: get, list; and how a trained model gets them.

Both are what the training program computed from its scores of the test set. Source: ModelEvaluation and
ModelEvaluationSlice of google.cloud.aiplatform.v1, classification_metrics_1.0.0.yaml.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from cxr.cloud.emulator.vertex_api.call import Call, VertexContext
from cxr.cloud.emulator.vertex_api.messages import JsonObject, now, parse, types
from cxr.cloud.emulator.vertex_api.model_names import id_without_version
from cxr.cloud.emulator.vertex_api.resource_store import COMMON_FIELDS, find, insert, list_page, listed, new_id

METRICS_SCHEMA = "gs://google-cloud-aiplatform/schema/modelevaluation/classification_metrics_1.0.0.yaml"
#: Metrics of the whole test set; the annotation specs of its confusion matrix are in the order of the model's scores.
EVALUATION_FILE = "evaluation.json"
#: A list of `{"displayName", "metrics"}`, one for each label. A program that does not write it leaves no slices.
SLICES_FILE = "slices.json"
DIMENSION = "annotationSpec"
SLICE_FIELDS = {**COMMON_FIELDS, "slice.dimension": "slice.dimension", "slice.value": "slice.value"}


def evaluation_of(model_name: str, folder: Path) -> tuple[JsonObject, list[JsonObject]]:
    """A new model's evaluation and a slice for each label (without names), from what its training left.

    Raises ValueError, KeyError, TypeError or RpcError for files that are not what they should be.
    """
    moment = now()
    annotation_specs(folder)
    evaluation = {
        "name": f"{model_name}/evaluations/{model_name.rpartition('/')[2]}",
        "metricsSchemaUri": METRICS_SCHEMA,
        "metrics": json.loads((folder / EVALUATION_FILE).read_text(encoding="utf-8")),
        "createTime": moment,
    }
    path = folder / SLICES_FILE
    slices = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    if slices:
        evaluation["sliceDimensions"] = [DIMENSION]
    parts = [
        {
            "slice": {"dimension": DIMENSION, "value": part["displayName"]},
            "metricsSchemaUri": METRICS_SCHEMA,
            "metrics": part["metrics"],
            "createTime": moment,
        }
        for part in slices
    ]
    return parse(types.ModelEvaluation, evaluation), [parse(types.ModelEvaluationSlice, part) for part in parts]


def insert_evaluation(connection: sqlite3.Connection, model_name: str, folder: Path) -> None:
    """Store a new model's evaluation, and a slice for each label."""
    evaluation, slices = evaluation_of(model_name, folder)
    insert(connection, evaluation["name"], f"{model_name}/evaluations", evaluation)
    collection = f"{evaluation['name']}/slices"
    for part in slices:
        name = f"{collection}/{new_id(connection)}"
        insert(connection, name, collection, {"name": name, **part})


def annotation_specs(folder: Path) -> list[JsonObject]:
    """`{"id", "displayName"}` of a model's labels, in the order of its scores."""
    metrics = json.loads((folder / EVALUATION_FILE).read_text(encoding="utf-8"))
    return [
        {"id": spec["id"], "displayName": spec["displayName"]} for spec in metrics["confusionMatrix"]["annotationSpecs"]
    ]


def list_evaluations(context: VertexContext, call: Call) -> JsonObject:
    """models.evaluations.list."""
    return listed("modelEvaluations", list_page(context.read, _collection(context, call), call.query))


def get_evaluation(context: VertexContext, call: Call) -> JsonObject:
    """models.evaluations.get."""
    return find(context.read, _name(call))


def list_slices(context: VertexContext, call: Call) -> JsonObject:
    """models.evaluations.slices.list; `slice.dimension` can be filtered by."""
    return listed(
        "modelEvaluationSlices", list_page(context.read, _collection(context, call), call.query, SLICE_FIELDS)
    )


def get_slice(context: VertexContext, call: Call) -> JsonObject:
    """models.evaluations.slices.get."""
    return find(context.read, _name(call))


def _collection(context: VertexContext, call: Call) -> str:
    name = _name(call)
    find(context.read, name.rpartition("/")[0])
    return name


def _name(call: Call) -> str:
    return "/".join((call.parent, "models", id_without_version(call.path[1]), *call.path[2:]))
