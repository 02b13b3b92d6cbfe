"""A running emulator as the tests speak to it: plain HTTP, no SDK."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import requests

from cxr.cloud.emulator.jobs.runner import CLAIM

TINY_STAND_IN = Path(__file__).with_name("tiny_stand_in.py")
TINY_SCORER = Path(__file__).with_name("tiny_scorer.py")
#: Options of an emulator that trains nothing.
TINY = {"stand_in": f"{sys.executable} {TINY_STAND_IN}", "scorer": f"{sys.executable} {TINY_SCORER}"}
IMAGE_SCHEMA = "gs://google-cloud-aiplatform/schema/dataset/metadata/image_1.0.0.yaml"
IO_FORMAT = (
    "gs://google-cloud-aiplatform/schema/dataset/ioformat/image_classification_single_label_io_format_1.0.0.yaml"
)
TASK = "gs://google-cloud-aiplatform/schema/trainingjob/definition/automl_image_classification_1.0.0.yaml"
#: More than a busy machine takes to start a server, or to end one.
PATIENCE_SECONDS = 240.0


def wait_until(holds: Callable[[], bool], seconds: float = 240) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process runs: one that has ended and waits for its parent to notice does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


@dataclass
class Server:
    """A running emulator, spoken to in plain HTTP."""

    state: Path
    url: str
    parent: str = "projects/p/locations/us-central1"

    def call(self, method: str, path: str, body: Any = None) -> requests.Response:
        return requests.request(method, f"{self.url}/v1/{path}", json=body, timeout=60)

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.call(method, path, body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def put(self, bucket: str, name: str, data: bytes) -> None:
        path = f"{self.url}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}"
        assert requests.post(path, data=data, timeout=60).status_code == 200

    def bucket(self, name: str) -> str:
        answer = requests.post(f"{self.url}/storage/v1/b?project=p", json={"name": name, "location": "us-central1"})
        assert answer.status_code in {200, 409}
        return name

    def done(self, operation: dict[str, Any]) -> dict[str, Any]:
        while not (found := self.ok("POST", f"{operation['name']}:wait", {"timeout": "30s"})).get("done"):
            pass
        return dict(found)

    def dataset(self, bucket: str, items: int = 24, labels: tuple[str, ...] = ("NORMAL", "PNEUMONIA")) -> str:
        """A dataset with that many images, in all three sets."""
        self.bucket(bucket)
        lines = []
        for number in range(items):
            self.put(bucket, f"{number}.jpeg", b"\xff\xd8\xff%d" % number)
            ml_use = "test" if number < 4 else "validation" if number < 8 else "training"
            lines.append(f"{ml_use},gs://{bucket}/{number}.jpeg,{labels[number % len(labels)]}\n")
        self.put(bucket, "import.csv", "".join(lines).encode())
        wanted = {"displayName": "d", "metadataSchemaUri": IMAGE_SCHEMA, "metadata": {}}
        name: str = self.done(self.ok("POST", f"{self.parent}/datasets", wanted))["response"]["name"]
        config = {"gcsSource": {"uris": [f"gs://{bucket}/import.csv"]}, "importSchemaUri": IO_FORMAT}
        assert "response" in self.done(self.ok("POST", f"{name}:import", {"importConfigs": [config]}))
        return name

    def pipeline(self, dataset: str, budget: Any = 1000, **changes: Any) -> dict[str, Any]:
        """The body of a training pipeline; the budget chooses what the tiny stand-in does."""
        return {
            "displayName": "t",
            "trainingTaskDefinition": TASK,
            "trainingTaskInputs": {"modelType": "MOBILE_TF_VERSATILE_1", "budgetMilliNodeHours": budget},
            "inputDataConfig": {"datasetId": dataset.rpartition("/")[2]},
            "modelToUpload": {"displayName": "m"},
            **changes,
        }

    def train(self, dataset: str, budget: Any = 1000, **changes: Any) -> str:
        body = self.pipeline(dataset, budget, **changes)
        return str(self.ok("POST", f"{self.parent}/trainingPipelines", body)["name"])

    def model(self, dataset: str, model_type: str = "MOBILE_TF_VERSATILE_1") -> str:
        """A trained model's name."""
        inputs = {"modelType": model_type, "budgetMilliNodeHours": 8000}
        pipeline = self.wait_for(self.train(dataset, trainingTaskInputs=inputs), "SUCCEEDED", "FAILED")
        return str(pipeline["modelToUpload"]["name"])

    def custom_job(self, *command: str, **spec: Any) -> str:
        container = {"imageUri": "docker.io/library/python:3.11", "command": list(command)}
        pool = {"machineSpec": {"machineType": "n1-standard-4"}, "replicaCount": "1", "containerSpec": container}
        body = {"displayName": "c", "jobSpec": {"workerPoolSpecs": [pool], **spec}}
        return str(self.ok("POST", f"{self.parent}/customJobs", body)["name"])

    def wait_for(self, name: str, *states: str, seconds: float = 240) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while not (found := self.ok("GET", name))["state"].endswith(states):
            assert time.monotonic() < deadline, f"{name} is still {found['state']}"
            time.sleep(0.03)
        return dict(found)

    def attempts(self, name: str) -> list[str]:
        return sorted(path.name for path in (self.state / "jobs" / name.rpartition("/")[2]).glob("attempt-*"))

    def wrapper(self, name: str, attempt: int = 1) -> psutil.Process:
        """The process around a job's attempt, as soon as it has begun: a job is RUNNING a moment before that."""
        claim = self.state / "jobs" / name.rpartition("/")[2] / f"attempt-{attempt}" / CLAIM
        wait_until(claim.exists)
        return psutil.Process(json.loads(claim.read_text())["pid"])

    @property
    def pid(self) -> int:
        return int(requests.get(f"{self.url}/_emulator/status", timeout=60).json()["pid"])

    def kill(self) -> None:
        """As a power cut would end it, less the lost disk."""
        server = psutil.Process(self.pid)
        os.kill(server.pid, signal.SIGKILL)
        server.wait(60)

    def let_go(self) -> None:
        """End what keeps the server of `start_busy` from being idle."""
        assert requests.delete(f"{self.url}/_emulator/outcomes", timeout=60).status_code == 200


Start = Callable[..., Server]


def start_busy(start: Start, **options: Any) -> Server:
    """A server that leaves when it is idle, and has a job to wait for until `let_go`: it is there however late a
    request comes."""
    first = start()
    stuck = {"rules": [{"resource": "customJobs", "outcome": "stuck"}]}
    assert requests.put(f"{first.url}/_emulator/outcomes", json=stuck, timeout=60).status_code == 200
    first.custom_job("true")
    first.kill()
    return start(**options)
