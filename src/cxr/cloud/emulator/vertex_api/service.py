"""Vertex AI and Cloud Logging: which method answers which path, and the threads behind them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from cxr.cloud.emulator.errors import not_found, unimplemented
from cxr.cloud.emulator.http import Request, Response, json_response
from cxr.cloud.emulator.jobs.scorers import ScorerPool
from cxr.cloud.emulator.jobs.supervisor import Supervisor
from cxr.cloud.emulator.logging_api import list_entries
from cxr.cloud.emulator.settings import EmulatorSettings
from cxr.cloud.emulator.state.database import Database
from cxr.cloud.emulator.storage_api.context import StorageContext
from cxr.cloud.emulator.vertex_api import (
    batch_prediction,
    custom_jobs,
    custom_pipelines,
    datasets,
    models,
    operations,
    pipelines,
    tuning,
)
from cxr.cloud.emulator.vertex_api.automl_job import AutoMLJob, program_environment
from cxr.cloud.emulator.vertex_api.batch_job import BatchPredictionJob
from cxr.cloud.emulator.vertex_api.call import Call, VertexContext
from cxr.cloud.emulator.vertex_api.call_checks import check_call
from cxr.cloud.emulator.vertex_api.importing import import_work
from cxr.cloud.emulator.vertex_api.messages import JsonObject, json_object, types, with_integer_enums
from cxr.cloud.emulator.vertex_api.prediction_methods import PREDICTION_METHODS
from cxr.cloud.emulator.vertex_api.quotas import Quotas

log = logging.getLogger(__name__)
Method = Callable[[VertexContext, Call], JsonObject]

#: REST method (below projects.locations) -> what answers it, and the message type of its response when that has enums.
METHODS: dict[str, tuple[Method, Any]] = {
    "datasets.create": (datasets.create_dataset, None),
    "datasets.get": (datasets.get_dataset, None),
    "datasets.list": (datasets.list_datasets, None),
    "datasets.patch": (datasets.patch_dataset, None),
    "datasets.delete": (datasets.delete_dataset, None),
    "datasets.import": (datasets.import_data, None),
    "trainingPipelines.create": (pipelines.create_pipeline, types.TrainingPipeline),
    "trainingPipelines.get": (pipelines.get_pipeline, types.TrainingPipeline),
    "trainingPipelines.list": (pipelines.list_pipelines, types.ListTrainingPipelinesResponse),
    "trainingPipelines.cancel": (pipelines.cancel_pipeline, None),
    "trainingPipelines.delete": (pipelines.delete_pipeline, None),
    "customJobs.create": (custom_jobs.create_custom_job, types.CustomJob),
    "customJobs.get": (custom_jobs.get_custom_job, types.CustomJob),
    "customJobs.list": (custom_jobs.list_custom_jobs, types.ListCustomJobsResponse),
    "customJobs.cancel": (custom_jobs.cancel_custom_job, None),
    "customJobs.delete": (custom_jobs.delete_custom_job, None),
    "hyperparameterTuningJobs.create": (tuning.create_tuning_job, types.HyperparameterTuningJob),
    "hyperparameterTuningJobs.get": (tuning.get_tuning_job, types.HyperparameterTuningJob),
    "hyperparameterTuningJobs.list": (tuning.list_tuning_jobs, types.ListHyperparameterTuningJobsResponse),
    "hyperparameterTuningJobs.cancel": (tuning.cancel_tuning_job, None),
    "hyperparameterTuningJobs.delete": (tuning.delete_tuning_job, None),
    "models.get": (models.get_model, types.Model),
    "models.list": (models.list_models, types.ListModelsResponse),
    "models.patch": (models.patch_model, types.Model),
    "models.delete": (models.delete_model, None),
    "models.export": (models.export_model, None),
    **PREDICTION_METHODS,
}
OPERATION_METHODS: dict[str, Method] = {
    "get": operations.get_operation,
    "list": operations.list_operations,
    "wait": operations.wait_operation,
    "cancel": operations.cancel_operation,
    "delete": operations.delete_operation,
}


#: The methods without a verb, and the verbs that are asked for by GET.
_PLAIN = {"create", "get", "list", "patch", "delete"}
_GET_VERBS = {"listVersions"}


class VertexService:
    """Vertex AI and Cloud Logging of one emulator."""

    def __init__(self, settings: EmulatorSettings, database: Database, storage: StorageContext, url: str) -> None:
        self._stopping = threading.Event()
        self._scorers = ScorerPool(
            settings.scorer,
            program_environment(settings, url),
            settings.scorers_dir,
            idle_seconds=settings.scorer_idle_seconds,
            answer_seconds=settings.scorer_answer_seconds,
        )
        self._context = VertexContext(
            settings,
            database,
            storage,
            self._wake_operations,
            self._wake_jobs,
            self._stopping,
            self._scorers,
        )
        self._operations = operations.OperationWorker(
            database,
            {
                "import": lambda work: import_work(self._context, work),
                "export": lambda work: models.export_work(self._context, work),
            },
        )
        tunings, trainings = tuning.TuningJob(), custom_pipelines.CustomPipeline(self._context)
        self._supervisor = Supervisor(
            settings,
            database,
            {
                pipelines.KIND: AutoMLJob(self._context, url),
                custom_jobs.KIND: custom_jobs.CustomJob(
                    self._context, url, {tuning.KIND: tunings, custom_pipelines.KIND: trainings}
                ),
                batch_prediction.KIND: BatchPredictionJob(self._context, url),
            },
            {tuning.KIND: tunings, custom_pipelines.KIND: trainings},
        )
        self._quotas = Quotas(self._context)
        self._operations.start()
        self._supervisor.start()

    def handle(self, request: Request) -> Response:
        """Answer one request. Raises RpcError."""
        segments = request.segments
        if segments == ("v2", "entries:list") and request.method == "POST":
            return json_response(list_entries(self._context, json_object(request.body.read())))
        call = _call(request)
        if call is None:
            raise unimplemented(f"{request.method} {request.raw_path}")
        if call.verb and not _is_method(request.method, call.verb):
            raise not_found(f"There is no method {request.method} {request.raw_path}.")
        check_call(call)
        if "operations" in call.path[::2]:
            return json_response(_operation_method(call)(self._context, call))
        known = METHODS.get(call.rest_method.removeprefix("projects.locations."))
        if known is None:
            raise unimplemented(call.rest_method)
        self._quotas.check(call)
        method, kind = known
        answer = method(self._context, call)
        if request.method != "GET":
            log.info("%s %s", call.rest_method, answer.get("name", call.name))
        if kind is not None and "enum-encoding=int" in request.query.get("$alt", ""):
            answer = with_integer_enums(kind, answer)
        return json_response(answer)

    def stop(self) -> None:
        """End the threads and the running jobs."""
        self._stopping.set()
        self._scorers.stop()
        self._operations.stop()
        self._supervisor.stop()

    def _wake_operations(self) -> None:
        self._operations.wake()

    def _wake_jobs(self) -> None:
        self._supervisor.wake()


def _is_method(method: str, verb: str) -> bool:
    """Whether a verb is asked for as it should be: what changes anything, by POST, so that no link or image can."""
    return verb in _GET_VERBS if method == "GET" else method == "POST" and verb not in _PLAIN


def _operation_method(call: Call) -> Method:
    name = call.rest_method.rpartition(".")[2]
    if name not in OPERATION_METHODS:
        raise unimplemented(call.rest_method)
    return OPERATION_METHODS[name]


def _call(request: Request) -> Call | None:
    """A Vertex path taken apart; None when it is something else. Clients poll operations below /ui/ as well as /v1/."""
    _, *parts = request.segments
    if len(parts) < 5 or parts[0] != "projects" or parts[2] != "locations":
        return None
    last, _, verb = parts[-1].partition(":")
    query: Mapping[str, str] = request.query
    body = json_object(request.body.read()) if request.method in {"POST", "PATCH", "PUT"} else {}
    return Call(request.method, parts[1], parts[3], (*parts[4:-1], last), verb, query, body)
