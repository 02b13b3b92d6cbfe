"""The programs that stand in for the service, behind the server: trained, evaluated, exported, predicted with."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason='needs the extra: pip install "cxr[train]"')

import requests
from emulator_server import IMAGE_SCHEMA, IO_FORMAT, Server, Start
from PIL import Image

BUCKET = "real-bucket"
LABELS = ("NORMAL", "PNEUMONIA")


def jpeg(number: int) -> bytes:
    """A dark noisy square, with a bright blob when the number is odd."""
    rng = np.random.default_rng(number)
    pixels = rng.normal(70, 12, (96, 120))
    if number % 2:
        y, x = np.mgrid[:96, :120]
        pixels += 120 * np.exp(-((y - rng.integers(30, 60)) ** 2 + (x - rng.integers(40, 80)) ** 2) / 400)
    buffer = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def real_dataset(server: Server) -> str:
    server.bucket(BUCKET)
    lines = []
    for number in range(32):
        server.put(BUCKET, f"{number}.jpeg", jpeg(number))
        ml_use = "test" if number < 8 else "validation" if number < 12 else "training"
        lines.append(f"{ml_use},gs://{BUCKET}/{number}.jpeg,{LABELS[number % 2]}\n")
    server.put(BUCKET, "import.csv", "".join(lines).encode())
    wanted = {"displayName": "d", "metadataSchemaUri": IMAGE_SCHEMA, "metadata": {}}
    name: str = server.done(server.ok("POST", f"{server.parent}/datasets", wanted))["response"]["name"]
    config = {"gcsSource": {"uris": [f"gs://{BUCKET}/import.csv"]}, "importSchemaUri": IO_FORMAT}
    assert "response" in server.done(server.ok("POST", f"{name}:import", {"importConfigs": [config]}))
    return name


@pytest.mark.slow
def test_a_cloud_model_is_trained_and_predicts_the_same_in_batch_and_online(start: Start) -> None:
    server = start(stand_in=None, scorer=None, stand_in_epochs=2)
    ml_use = "labels.aiplatform.googleapis.com/ml_use"
    filters = {f"{name}Filter": f"{ml_use}={name}" for name in ("training", "validation", "test")}
    body = server.pipeline(
        real_dataset(server), trainingTaskInputs={"modelType": "CLOUD", "budgetMilliNodeHours": 8000}
    )
    body["inputDataConfig"]["filterSplit"] = filters
    pipeline = server.ok("POST", f"{server.parent}/trainingPipelines", body)["name"]
    done = server.wait_for(pipeline, "SUCCEEDED", "FAILED", seconds=500)
    assert done["state"] == "PIPELINE_STATE_SUCCEEDED", done
    model = done["modelToUpload"]["name"]
    (evaluation,) = server.ok("GET", f"{model}/evaluations")["modelEvaluations"]
    assert np.sum(evaluation["metrics"]["confusionMatrix"]["rows"]) == 8
    slices = server.ok("GET", f"{evaluation['name']}/slices")["modelEvaluationSlices"]
    assert {part["slice"]["value"] for part in slices} == set(LABELS)

    instances = [{"content": f"gs://{BUCKET}/{number}.jpeg", "mimeType": "image/jpeg"} for number in range(8)]
    server.put(BUCKET, "words.jpeg", b"\xff\xd8\xffwords")
    instances.append({"content": f"gs://{BUCKET}/words.jpeg", "mimeType": "image/jpeg"})
    server.put(BUCKET, "in.jsonl", "".join(json.dumps(line) + "\n" for line in instances).encode())
    job = {
        "displayName": "batch",
        "model": model,
        "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": [f"gs://{BUCKET}/in.jsonl"]}},
        "outputConfig": {"predictionsFormat": "jsonl", "gcsDestination": {"outputUriPrefix": f"gs://{BUCKET}/out"}},
    }
    created = server.ok("POST", f"{server.parent}/batchPredictionJobs", job)["name"]
    ended = server.wait_for(created, "SUCCEEDED", "FAILED", seconds=300)
    assert ended["completionStats"] == {"successfulCount": "8", "failedCount": "1"}, ended
    assert "is not an image" in ended["partialFailures"][0]["message"]
    place = ended["outputInfo"]["gcsOutputDirectory"].removeprefix(f"gs://{BUCKET}/")
    path = requests.utils.quote(f"{place}/predictions_00001.jsonl", safe="")
    text = requests.get(f"{server.url}/storage/v1/b/{BUCKET}/o/{path}?alt=media", timeout=60).text
    batch = [json.loads(line)["prediction"] for line in text.splitlines()]
    said = [prediction["displayNames"][0] for prediction in batch]
    matrix = np.zeros((2, 2), int)
    for number, label in enumerate(said):
        matrix[number % 2, LABELS.index(label)] += 1
    assert matrix.tolist() == evaluation["metrics"]["confusionMatrix"]["rows"]

    endpoint = server.done(server.ok("POST", f"{server.parent}/endpoints", {"displayName": "e"}))["response"]["name"]
    deployed = {"model": model, "automaticResources": {"minReplicaCount": 1, "maxReplicaCount": 1}}
    split = {"deployedModel": deployed, "trafficSplit": {"0": 100}}
    server.done(server.ok("POST", f"{endpoint}:deployModel", split))
    asked = {"instances": [{"content": base64.b64encode(jpeg(number)).decode()} for number in range(8)]}
    online = server.ok("POST", f"{endpoint}:predict", asked)["predictions"]
    assert [prediction["ids"] for prediction in online] == [prediction["ids"] for prediction in batch]
    for one, other in zip(online, batch, strict=True):
        assert one["confidences"] == pytest.approx(other["confidences"], abs=1e-5)
