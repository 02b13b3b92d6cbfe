"""Which method answers which path, of all that is about judging models and predicting with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cxr.cloud.emulator.vertex_api import (
    batch_prediction,
    deployments,
    endpoints,
    evaluations,
    model_uploads,
    online_prediction,
)
from cxr.cloud.emulator.vertex_api.call import Call, VertexContext
from cxr.cloud.emulator.vertex_api.messages import JsonObject, types

#: REST method (below projects.locations) -> what answers it, and the message type of its response when that has enums.
PREDICTION_METHODS: dict[str, tuple[Callable[[VertexContext, Call], JsonObject], Any]] = {
    "models.upload": (model_uploads.upload_model, None),
    "models.listVersions": (model_uploads.list_versions, types.ListModelVersionsResponse),
    "models.evaluations.list": (evaluations.list_evaluations, None),
    "models.evaluations.get": (evaluations.get_evaluation, None),
    "models.evaluations.slices.list": (evaluations.list_slices, None),
    "models.evaluations.slices.get": (evaluations.get_slice, None),
    "batchPredictionJobs.create": (batch_prediction.create_batch_job, types.BatchPredictionJob),
    "batchPredictionJobs.get": (batch_prediction.get_batch_job, types.BatchPredictionJob),
    "batchPredictionJobs.list": (batch_prediction.list_batch_jobs, types.ListBatchPredictionJobsResponse),
    "batchPredictionJobs.cancel": (batch_prediction.cancel_batch_job, None),
    "batchPredictionJobs.delete": (batch_prediction.delete_batch_job, None),
    "endpoints.create": (endpoints.create_endpoint, None),
    "endpoints.get": (endpoints.get_endpoint, types.Endpoint),
    "endpoints.list": (endpoints.list_endpoints, types.ListEndpointsResponse),
    "endpoints.patch": (endpoints.patch_endpoint, types.Endpoint),
    "endpoints.delete": (endpoints.delete_endpoint, None),
    "endpoints.deployModel": (deployments.deploy_model, None),
    "endpoints.undeployModel": (deployments.undeploy_model, None),
    "endpoints.predict": (online_prediction.predict, None),
}
