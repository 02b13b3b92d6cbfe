"""endpoints.predict: the images of a request, scored by the program of a deployed model.

Source: PredictionService of google.cloud.aiplatform.v1,
https://cloud.google.com/vertex-ai/docs/image-data/classification/get-predictions.
"""

from __future__ import annotations

import base64
import binascii
import random
from collections.abc import Mapping
from typing import Any

from cxr.cloud.emulator.errors import Code, RpcError, failed_precondition, invalid_argument
from cxr.cloud.emulator.jobs.scorers import ScorerError
from cxr.cloud.emulator.vertex_api.automl_job import SCORING_FOLDER, model_folder
from cxr.cloud.emulator.vertex_api.call import Call, VertexContext, require
from cxr.cloud.emulator.vertex_api.deployments import scorer_key
from cxr.cloud.emulator.vertex_api.evaluations import annotation_specs
from cxr.cloud.emulator.vertex_api.messages import JsonObject, parse, types
from cxr.cloud.emulator.vertex_api.predictions import check_instance, prediction, prediction_parameters
from cxr.cloud.emulator.vertex_api.resource_store import find

#: "1.5 MB for online prediction": https://cloud.google.com/vertex-ai/docs/image-data/classification/prepare-data.
MAX_IMAGE_BYTES = 1_500_000


def predict(context: VertexContext, call: Call) -> JsonObject:
    """endpoints.predict. Raises 400 for a bad instance, or FAILED_PRECONDITION when no model has any traffic."""
    request = parse(types.PredictRequest, call.body)
    endpoint = find(context.read, call.name)
    parameters = prediction_parameters(request.get("parameters"), field="parameters")
    instances = [
        {"content": _content(number, instance)}
        for number, instance in enumerate(require(request, "instances", "instances"))
    ]
    deployed = _chosen(endpoint)
    model = find(context.read, deployed["model"])
    folder = model_folder(context, model["name"])
    try:
        answers = context.scorers.ask(scorer_key(endpoint["name"], deployed["id"]), folder / SCORING_FOLDER, instances)
    except ScorerError as error:
        raise RpcError(Code.INTERNAL, f"The deployed model {deployed['id']} does not answer: {error}") from None
    specs = annotation_specs(folder)
    predictions = []
    for number, answer in enumerate(answers):
        if "error" in answer:
            raise invalid_argument(f"Invalid instance {number}: {answer['error']}.", field=f"instances[{number}]")
        predictions.append(prediction(specs, answer["scores"], parameters))
    return {
        "predictions": predictions,
        "deployedModelId": deployed["id"],
        "model": model["name"],
        "modelDisplayName": model["displayName"],
        "modelVersionId": deployed["modelVersionId"],
    }


def _content(number: int, instance: Any) -> str:
    try:
        content, _ = check_instance(instance)
        size = len(base64.b64decode(content, validate=True))
    except binascii.Error:
        raise invalid_argument(
            f"Invalid instance {number}: content is not base64.", field=f"instances[{number}].content"
        ) from None
    except ValueError as error:
        raise invalid_argument(f"Invalid instance {number}: {error}.", field=f"instances[{number}]") from None
    if size > MAX_IMAGE_BYTES:
        raise invalid_argument(
            f"Invalid instance {number}: the image has {size:,} bytes; at most {MAX_IMAGE_BYTES:,} are allowed.",
            field=f"instances[{number}].content",
        )
    return content


def _chosen(endpoint: Mapping[str, Any]) -> Mapping[str, Any]:
    """One of the deployed models, at random by the traffic split."""
    deployed: dict[str, Mapping[str, Any]] = {item["id"]: item for item in endpoint.get("deployedModels", [])}
    split = {key: share for key, share in endpoint.get("trafficSplit", {}).items() if share}
    if not split:
        raise failed_precondition(f"Endpoint {endpoint['name']} has no deployed model with traffic.")
    (chosen,) = random.choices(list(split), weights=list(split.values()))
    return deployed[chosen]
