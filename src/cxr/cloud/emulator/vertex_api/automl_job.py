"""What an AutoML pipeline does here: a small edge model is trained by the stand-in program, in the service's place.

The result says so: the model's label `cxr-emulator` is `stand-in`.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cxr.cloud.emulator.errors import Code, RpcError
from cxr.cloud.emulator.jobs.attempts import Launch, Outcome
from cxr.cloud.emulator.jobs.replicas import MAX_WORDS
from cxr.cloud.emulator.settings import EmulatorSettings
from cxr.cloud.emulator.vertex_api.automl_task import AutoMLInputs, check_inputs
from cxr.cloud.emulator.vertex_api.call import VertexContext
from cxr.cloud.emulator.vertex_api.evaluations import EVALUATION_FILE, evaluation_of, insert_evaluation
from cxr.cloud.emulator.vertex_api.job_states import set_ended, set_pending, set_running
from cxr.cloud.emulator.vertex_api.messages import JsonObject, now, parse, types
from cxr.cloud.emulator.vertex_api.resource_store import change, find, insert
from cxr.cloud.emulator.vertex_api.splits import split_items

STAND_IN_LABEL = {"cxr-emulator": "stand-in"}
#: What the scorer reads, in the folder of a model that the service itself predicts with.
SCORING_FOLDER = "scoring"
_PREDICT_SCHEMAS = "gs://google-cloud-aiplatform/schema/predict/"
#: What a cloud model says of itself. Its resources are inferred from the service's guide, which deploys AutoML image
#: models with automaticResources: https://cloud.google.com/vertex-ai/docs/image-data/classification/get-predictions.
SERVED = {
    "supportedDeploymentResourcesTypes": ["AUTOMATIC_RESOURCES"],
    "supportedInputStorageFormats": ["jsonl"],
    "supportedOutputStorageFormats": ["jsonl"],
    "predictSchemata": {
        "instanceSchemaUri": f"{_PREDICT_SCHEMAS}instance/image_classification_1.0.0.yaml",
        "parametersSchemaUri": f"{_PREDICT_SCHEMAS}params/image_classification_1.0.0.yaml",
        "predictionSchemaUri": f"{_PREDICT_SCHEMAS}prediction/classification_1.0.0.yaml",
    },
}


class AutoMLJob:
    """The JobKind of AutoML image classification."""

    def __init__(self, context: VertexContext, server_url: str) -> None:
        self._context = context
        self._server_url = server_url

    def prepare(self, name: str, job_folder: Path, attempt_folder: Path) -> Launch:
        """Write the items with their sets, and start the stand-in on them."""
        pipeline = find(self._context.read, name)
        parent, _, pipeline_id = name.rpartition("/trainingPipelines/")
        config = pipeline["inputDataConfig"]
        items = split_items(self._context.read, f"{parent}/datasets/{config['datasetId']}", config, seed=pipeline_id)
        lines = "".join(json.dumps(asdict(item)) + "\n" for item in items)
        (attempt_folder / "items.jsonl").write_text(lines, encoding="utf-8")
        inputs = check_inputs(pipeline["trainingTaskInputs"])
        settings = self._context.settings
        argv = [
            *settings.stand_in,
            "--items",
            str((attempt_folder / "items.jsonl").resolve()),
            "--output",
            str((attempt_folder / "output").resolve()),
            "--model-type",
            inputs.model_type,
            "--budget-milli-node-hours",
            str(inputs.budget_milli_node_hours),
        ]
        if settings.stand_in_epochs is not None:
            argv += ["--epochs", str(settings.stand_in_epochs)]
        return Launch(argv, str(attempt_folder.resolve()), program_environment(settings, self._server_url))

    def started(self, connection: sqlite3.Connection, name: str) -> None:
        """RUNNING; the start time is that of the first attempt."""
        change(connection, name, set_running)

    def waiting(self, connection: sqlite3.Connection, name: str) -> None:
        """PENDING again, unless it is being cancelled."""
        change(connection, name, set_pending)

    def judge(self, name: str, attempt_folder: Path, outcome: Outcome) -> RpcError | None:
        """The exit code, then the files; good ones move to the model's folder."""
        if outcome.returncode != 0:
            reason = outcome.last_stderr or f"the training process ended with {outcome.returncode}"
            return RpcError(Code.INTERNAL, f"Training failed: {reason}")
        target = model_folder(self._context, _model_name(name))
        if not target.exists():
            output = attempt_folder / "output"
            missing = self._missing(name, output)
            if missing:
                return RpcError(Code.INTERNAL, f"Training ended without its result {missing}.")
            try:
                evaluation_of(_model_name(name), output)
            except (ValueError, KeyError, TypeError, RpcError) as error:
                words = f"Training ended with an evaluation that cannot be used: {error}"
                return RpcError(Code.INTERNAL, words[:MAX_WORDS])
            _move(output, target)
        return None

    def succeeded(self, connection: sqlite3.Connection, name: str, attempt_folder: Path) -> None:
        """The Model, its evaluation and the pipeline's end appear together."""
        pipeline = find(connection, name)
        inputs = check_inputs(pipeline["trainingTaskInputs"])
        model = _model(name, pipeline, inputs)
        insert(connection, model["name"], model["name"].rpartition("/")[0], model)
        insert_evaluation(connection, model["name"], model_folder(self._context, model["name"]))

        def edit(pipeline: JsonObject) -> None:
            set_ended(pipeline, "SUCCEEDED", None)
            pipeline["modelToUpload"] = {**pipeline.get("modelToUpload", {}), **_model_reference(model)}
            pipeline["trainingTaskMetadata"] = {
                "costMilliNodeHours": _cost(pipeline, inputs),
                "successfulStopReason": "MODEL_CONVERGED",
            }

        change(connection, name, edit)

    def failed(self, connection: sqlite3.Connection, name: str, error: RpcError) -> None:
        """FAILED with the error."""
        change(connection, name, lambda pipeline: set_ended(pipeline, "FAILED", error))

    def cancelled(self, connection: sqlite3.Connection, name: str) -> None:
        """CANCELLED."""
        error = RpcError(Code.CANCELLED, "CANCELED")
        change(connection, name, lambda pipeline: set_ended(pipeline, "CANCELLED", error))

    def _missing(self, name: str, output: Path) -> str | None:
        inputs = check_inputs(find(self._context.read, name)["trainingTaskInputs"])
        wanted = [EVALUATION_FILE, *inputs.export_formats, *([SCORING_FOLDER] if inputs.is_served else [])]
        return next((part for part in wanted if not (output / part).exists()), None)


def model_folder(context: VertexContext, model_name: str) -> Path:
    """Where a model's files are: one folder for each export format or one for the scorer, and its evaluation."""
    return context.settings.models_dir / model_name.rpartition("/")[2]


def program_environment(settings: EmulatorSettings, server_url: str) -> dict[str, str]:
    """The environment of the programs that stand in for the service: this server's own, and where its storage is."""
    return {
        **os.environ,
        "STORAGE_EMULATOR_HOST": server_url,
        "DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA": "true",
        **settings.job_environment,
    }


def _model_name(pipeline_name: str) -> str:
    # Made of the pipeline's id, so that an end that is worked out twice (a crash between) makes one model.
    parent, _, pipeline_id = pipeline_name.rpartition("/trainingPipelines/")
    return f"{parent}/models/{pipeline_id}"


def _model(pipeline_name: str, pipeline: Mapping[str, Any], inputs: AutoMLInputs) -> JsonObject:
    moment = now()
    wanted = pipeline.get("modelToUpload", {})
    model = {
        **wanted,
        "name": _model_name(pipeline_name),
        "displayName": wanted.get("displayName") or pipeline["displayName"],
        "labels": {**wanted.get("labels", {}), **STAND_IN_LABEL},
        "trainingPipeline": pipeline_name,
        "supportedExportFormats": [{"id": name, "exportableContents": ["ARTIFACT"]} for name in inputs.export_formats],
        **(SERVED if inputs.is_served else {}),
        "modelSourceInfo": {"sourceType": "AUTOML"},
        "versionId": "1",
        "versionAliases": ["default"],
        "createTime": moment,
        "updateTime": moment,
        "versionCreateTime": moment,
        "versionUpdateTime": moment,
    }
    return parse(types.Model, model)


def _model_reference(model: Mapping[str, Any]) -> JsonObject:
    return {key: model[key] for key in ("name", "displayName", "labels", "versionId", "versionAliases")}


def _cost(pipeline: Mapping[str, Any], inputs: AutoMLInputs) -> str:
    started = datetime.fromisoformat(pipeline["startTime"])
    hours = (datetime.now(UTC) - started).total_seconds() / 3600
    return str(min(max(1, round(hours * 1000)), inputs.budget_milli_node_hours))


def _move(output: Path, target: Path) -> None:
    try:
        output.rename(target)
    except OSError:
        # Another file system: copy under another name first, so that the target is whole when it is there.
        temporary = target.with_name(f".{target.name}.part")
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.copytree(output, temporary)
        temporary.rename(target)
