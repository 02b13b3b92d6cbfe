"""A working folder with an emulator of its own, in which jobs are started behind cxr's back, with the SDK alone."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from google.protobuf import struct_pb2
from typer.testing import CliRunner

from cxr.cli.main import app
from cxr.cloud.connection import Connection
from cxr.cloud.jobs.journal import Journal
from cxr.cloud.vertex.automl import TASK
from cxr.cloud.vertex.clients import dataset_client, job_client, pipeline_client
from cxr.cloud.vertex.datasets import METADATA_SCHEMA
from cxr.cloud.vertex.imports import IMPORT_SCHEMA
from cxr.errors import CxrError
from cxr.settings import Settings

_PROGRAMS = Path(__file__).parent / "emulator"
#: Programs in the place of AutoML and of its predictions, for the emulator.
STAND_IN = f"{sys.executable} {_PROGRAMS / 'tiny_stand_in.py'}"
SCORER = f"{sys.executable} {_PROGRAMS / 'tiny_scorer.py'}"
#: A shell's line that reports a trial's val_auc: 0.8 and the trial's number behind it.
MEASURE = """printf '{"val_auc":"0.8%s"}\\n' "$CLOUD_ML_TRIAL_ID" > "$CLOUD_ML_HP_METRIC_FILE" """


@dataclass(frozen=True)
class Said:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str
    error: CxrError | None

    @property
    def data(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class JobSite:
    """Where jobs are started and followed."""

    folder: Path
    connection: Connection

    @property
    def state_dir(self) -> Path:
        return self.folder / ".cxr"

    @property
    def settings(self) -> Settings:
        return Settings(state_dir=self.state_dir)

    @property
    def journal(self) -> Journal:
        return Journal(self.settings.journal_path)

    def cxr(self, *args: str, state_dir: Path | None = None) -> Said:
        """A cloud command, in this process: the SDK takes two seconds to import."""
        where = ["--state-dir", str(state_dir or self.state_dir)]
        result = CliRunner().invoke(app, ["cloud", *args, *where])
        error = result.exception if isinstance(result.exception, CxrError) else None
        if result.exception is not None and error is None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(error.exit_code if error else result.exit_code, result.stdout, result.stderr, error)

    def emulator(self, path: str, document: Any = None) -> None:
        """Set faults or outcomes; without a document, clear them."""
        url = f"{self.connection.endpoint}/_emulator/{path}"
        answer = (
            requests.delete(url, timeout=120) if document is None else requests.put(url, json=document, timeout=120)
        )
        assert answer.status_code == 200, answer.text

    def custom(self, script: str, *, labels: dict[str, str] | None = None, timeout_s: int = 600, out: str = "") -> str:
        """Start a custom job that runs a shell script; its resource name."""
        spec = {**self._spec(script), "scheduling": {"timeout": {"seconds": timeout_s}}}
        if out:
            spec["base_output_directory"] = {"output_uri_prefix": out}
        job = {"display_name": "elsewhere", "labels": labels or {}, "job_spec": spec}
        return str(job_client(self.connection).create_custom_job(parent=self.connection.parent, custom_job=job).name)

    def tuning(self, script: str, *, labels: dict[str, str] | None = None, trials: int = 2) -> str:
        """Start a tuning job of two trials at once; its resource name."""
        parameter = {"parameter_id": "dropout", "double_value_spec": {"min_value": 0.0, "max_value": 0.5}}
        job = {
            "display_name": "elsewhere",
            "labels": labels or {},
            "max_trial_count": trials,
            "parallel_trial_count": min(2, trials),
            "study_spec": {"metrics": [{"metric_id": "val_auc", "goal": "MAXIMIZE"}], "parameters": [parameter]},
            "trial_job_spec": self._spec(script),
        }
        made = job_client(self.connection).create_hyperparameter_tuning_job(
            parent=self.connection.parent, hyperparameter_tuning_job=job
        )
        return str(made.name)

    def batch(self, model: str, images: int) -> str:
        """Start a batch prediction with a model; its resource name."""
        lines = [f'{{"content": "{self.connection.images_url}/{number}.jpeg"}}' for number in range(images)]
        self.connection.store().replace_bytes("other/instances.jsonl", "\n".join(lines).encode())
        source = {"uris": [f"{self.connection.base_url}/other/instances.jsonl"]}
        destination = {"output_uri_prefix": f"{self.connection.base_url}/predictions/batch-1"}
        job = {
            "display_name": "elsewhere",
            "model": model,
            "input_config": {"instances_format": "jsonl", "gcs_source": source},
            "output_config": {"predictions_format": "jsonl", "gcs_destination": destination},
        }
        client = job_client(self.connection)
        made = client.create_batch_prediction_job(parent=self.connection.parent, batch_prediction_job=job)
        return str(made.name)

    def dataset(self, *, labels: dict[str, str] | None = None, more: str = "") -> str:
        """A dataset of 24 images that are none, imported with the lines `more`; its resource name."""
        name, operation = self.importing(labels=labels, more=more)
        operation.result(300)
        return name

    def importing(self, *, labels: dict[str, str] | None = None, more: str = "") -> tuple[str, Any]:
        """A dataset, and the operation that fills it."""
        store, lines = self.connection.store(), [more]
        for number in range(24):
            store.replace_bytes(f"images/{number}.jpeg", b"\xff\xd8\xff%d" % number)
            ml_use = "test" if number < 4 else "validation" if number < 8 else "training"
            label = "NORMAL" if number % 2 else "PNEUMONIA"
            lines.append(f"{ml_use},{self.connection.images_url}/{number}.jpeg,{label}\n")
        store.replace_bytes("other/import.csv", "".join(lines).encode())
        client = dataset_client(self.connection)
        described = {"display_name": "d", "metadata_schema_uri": METADATA_SCHEMA, "labels": labels or {}}
        name = str(client.create_dataset(parent=self.connection.parent, dataset=described).result(300).name)
        uris = [f"{self.connection.base_url}/other/import.csv"]
        config = {"gcs_source": {"uris": uris}, "import_schema_uri": IMPORT_SCHEMA}
        return name, client.import_data(name=name, import_configs=[config])

    def pipeline(self, dataset: str, *, labels: dict[str, str] | None = None, budget: int = 8000) -> str:
        """Start an AutoML training of a cloud model; its resource name."""
        client = pipeline_client(self.connection)
        inputs = struct_pb2.Value()
        inputs.struct_value.update({"modelType": "CLOUD", "budgetMilliNodeHours": budget})
        pipeline = {
            "display_name": "t",
            "labels": labels or {},
            "training_task_definition": TASK,
            "training_task_inputs": inputs,
            "input_data_config": {"dataset_id": dataset.rsplit("/", 1)[-1]},
            "model_to_upload": {"display_name": "m", "labels": labels or {}},
        }
        return str(client.create_training_pipeline(parent=self.connection.parent, training_pipeline=pipeline).name)

    def automl(self, dataset: str, *, labels: dict[str, str] | None = None) -> tuple[str, str]:
        """A cloud model trained by the tiny stand-in; the pipeline's name and the model's."""
        name, client = self.pipeline(dataset, labels=labels), pipeline_client(self.connection)
        wait_until(lambda: client.get_training_pipeline(name=name).state.name == "PIPELINE_STATE_SUCCEEDED")
        return name, str(client.get_training_pipeline(name=name).model_to_upload.name)

    def put(self, name: str, data: bytes = b"x") -> None:
        """An object below the prefix."""
        self.connection.store().put_bytes(name, data)

    def names(self, prefix: str = "") -> set[str]:
        """The objects below the prefix."""
        return {info.name for info in self.connection.store().list(prefix)}

    def _spec(self, script: str) -> dict[str, Any]:
        machine = {"machine_type": "g2-standard-4", "accelerator_type": "NVIDIA_L4", "accelerator_count": 1}
        container = {"image_uri": "docker.io/library/python:3.11", "command": ["sh", "-c", script, "job"]}
        pool = {"machine_spec": machine, "replica_count": 1, "container_spec": container}
        return {"worker_pool_specs": [pool]}


def wait_until(holds: Callable[[], bool], seconds: float = 300) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
