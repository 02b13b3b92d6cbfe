"""Custom training as the high-level SDK starts it: scripts as packages, training pipelines, datasets, models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests
from emulator_server import Server
from google.cloud import aiplatform
from google.cloud import aiplatform_v1 as v1
from google.cloud.aiplatform import schema
from sdk import IMAGE, PARENT, client, custom_job, init, pool, wait_until_ended
from test_replicas import lines_by_task

TASK = "gs://google-cloud-aiplatform/schema/trainingjob/definition/custom_task_1.0.0.yaml"
PREBUILT = "us-docker.pkg.dev/vertex-ai/training/tf-cpu.2-17.py310:latest"
SERVING = "docker.io/tensorflow/serving:latest"
BUCKET = "training"
#: Leaves a model in AIP_MODEL_DIR.
SAVE = (
    "python3 -c 'import os, urllib.request as web; "
    'bucket, name = os.environ["AIP_MODEL_DIR"][5:].split("/", 1); host = os.environ["STORAGE_EMULATOR_HOST"]; '
    'url = f"{host}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}saved_model.pb"; '
    'web.urlopen(url, b"model")\''
)


@pytest.fixture(scope="module")
def pipelines(server: Server) -> Any:
    return client(v1.PipelineServiceClient, server.url)


@pytest.fixture(scope="module")
def documented(server: Server) -> Server:
    """The high-level classes work on this server and its bucket."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", server.url)
        server.bucket(BUCKET)
        init(server.url, BUCKET)
        yield server  # type: ignore[misc]


def inputs(*command: str, output: str = f"gs://{BUCKET}/run") -> dict[str, Any]:
    machine = {"machineType": "n1-standard-4"}
    container = {"imageUri": IMAGE, "command": list(command)}
    pools = [{"machineSpec": machine, "replicaCount": 1, "containerSpec": container}]
    return {"workerPoolSpecs": pools, "baseOutputDirectory": {"outputUriPrefix": output}}


def pipeline(*command: str, output: str = f"gs://{BUCKET}/run", **more: Any) -> dict[str, Any]:
    task = {"displayName": "t", "trainingTaskDefinition": TASK, "trainingTaskInputs": inputs(*command, output=output)}
    return {**task, **more}


def train(server: Server, body: dict[str, Any]) -> dict[str, Any]:
    name = server.ok("POST", f"{PARENT}/trainingPipelines", body)["name"]
    return server.wait_for(name, "SUCCEEDED", "FAILED", "CANCELLED")


MODEL = {"displayName": "m", "containerSpec": {"imageUri": SERVING}}


@pytest.mark.parametrize(
    ("image", "words"), [(PREBUILT, "two words"), (IMAGE, "plain")], ids=["package spec", "command that installs"]
)
def test_a_local_script_is_packaged_installed_and_run(
    documented: Server, tmp_path: Path, image: str, words: str
) -> None:
    script = tmp_path / "task.py"
    script.write_text("import sys, os; print('args', sys.argv[1:], os.environ['XRAY'])")
    job = aiplatform.CustomJob.from_local_script(
        display_name="script",
        script_path=str(script),
        container_uri=image,
        args=["--epochs", "2", words],
        environment_variables={"XRAY": "1"},
        requirements=["numpy"],
    )
    job.submit()
    done = wait_until_ended(lambda: aiplatform.CustomJob.get(job.resource_name))
    assert done.state.name == "JOB_STATE_SUCCEEDED", done.error
    assert lines_by_task(documented, job.resource_name)["workerpool0-0"][-1] == f"args ['--epochs', '2', '{words}'] 1"
    assert bool(job.job_spec.worker_pool_specs[0].python_package_spec.package_uris) == (image == PREBUILT)


def test_a_package_that_is_not_there_fails_the_job(documented: Server) -> None:
    jobs = client(v1.JobServiceClient, documented.url)
    package = v1.PythonPackageSpec(
        executor_image_uri=IMAGE, package_uris=[f"gs://{BUCKET}/none.tar.gz"], python_module="trainer.task"
    )
    workers = pool("true")
    workers.python_package_spec = package
    name = jobs.create_custom_job(parent=PARENT, custom_job=custom_job(workers)).name
    failed = wait_until_ended(lambda: jobs.get_custom_job(name=name))
    assert (failed.state.name, failed.error.code) == ("JOB_STATE_FAILED", 5)
    assert "none.tar.gz" in failed.error.message


def test_a_container_training_job_gives_a_model(documented: Server) -> None:
    job = aiplatform.CustomContainerTrainingJob(
        display_name="container",
        container_uri=IMAGE,
        command=["sh", "-c", f'test "$1" = --lr=0.1 && {SAVE}', "sh"],
        model_serving_container_image_uri=SERVING,
        labels={"team": "radiology"},
    )
    job.submit(model_display_name="served", args=["--lr=0.1"], replica_count=2, machine_type="n1-standard-4")
    name = job.resource_name
    wait_until_ended(lambda: aiplatform.CustomContainerTrainingJob.get(name))
    again = aiplatform.CustomContainerTrainingJob.get(name)
    assert again.state.name == "PIPELINE_STATE_SUCCEEDED", again.error
    model = again.get_model()
    assert (model.display_name, model.container_spec.image_uri) == ("served", SERVING)
    assert model.uri.startswith(f"gs://{BUCKET}/aiplatform-custom-training-")
    assert model.uri.endswith("/model")
    backing = aiplatform.CustomJob.get(again.to_dict()["trainingTaskMetadata"]["backingCustomJob"])
    assert (backing.state.name, dict(backing.labels)) == ("JOB_STATE_SUCCEEDED", {"team": "radiology"})
    assert len(backing.job_spec.worker_pool_specs) == 2
    assert again.web_access_uris == {}
    assert again.resource_name in {
        found.resource_name for found in aiplatform.CustomContainerTrainingJob.list(filter='labels.team="radiology"')
    }


def test_a_managed_dataset_comes_as_files_of_each_set(documented: Server) -> None:
    dataset = documented.dataset("managed")
    ml_use = "labels.aiplatform.googleapis.com/ml_use"
    job = aiplatform.CustomContainerTrainingJob(
        display_name="managed",
        container_uri=IMAGE,
        command=[
            "sh",
            "-c",
            'echo "$AIP_DATA_FORMAT|$AIP_TRAINING_DATA_URI|$AIP_VALIDATION_DATA_URI|$AIP_TEST_DATA_URI"',
        ],
    )
    job.submit(
        dataset=aiplatform.ImageDataset(dataset),
        annotation_schema_uri=schema.dataset.annotation.image.classification,
        training_filter_split=f"{ml_use}=training",
        validation_filter_split=f"{ml_use}=validation",
        test_filter_split=f"{ml_use}=test",
        base_output_dir=f"gs://{BUCKET}/managed",
    )
    name = job.resource_name
    done = wait_until_ended(lambda: aiplatform.CustomContainerTrainingJob.get(name))
    assert done.state.name == "PIPELINE_STATE_SUCCEEDED", done.error
    backing = done.to_dict()["trainingTaskMetadata"]["backingCustomJob"]
    data_format, *uris = lines_by_task(documented, backing)["workerpool0-0"][0].split("|")
    assert data_format == "jsonl"
    folder = f"gs://{BUCKET}/managed/dataset-{dataset.rpartition('/')[2]}-image_classification-"
    assert all(uri.startswith(folder) for uri in uris)
    sizes = {}
    for uri, ml_use in zip(uris, ("training", "validation", "test"), strict=True):
        assert uri.endswith(f"/{ml_use}-*.jsonl")
        prefix = uri.removeprefix(f"gs://{BUCKET}/").partition("*")[0]
        base = f"{documented.url}/storage/v1/b/{BUCKET}/o"
        (item,) = requests.get(base, params={"prefix": prefix}, timeout=60).json()["items"]
        text = requests.get(f"{base}/{requests.utils.quote(item['name'], safe='')}?alt=media", timeout=60).text
        entries = [json.loads(line) for line in text.splitlines()]
        sizes[ml_use] = len(entries)
        assert all(entry["imageGcsUri"].startswith("gs://managed/") for entry in entries)
        assert entries[0]["classificationAnnotation"]["displayName"] in {"NORMAL", "PNEUMONIA"}
        assert entries[0]["dataItemResourceLabels"] == {"aiplatform.googleapis.com/ml_use": ml_use}
    assert sizes == {"training": 16, "validation": 4, "test": 4}


def test_a_training_that_fails_or_leaves_no_model_fails_the_pipeline(documented: Server) -> None:
    failed = train(documented, pipeline("sh", "-c", "echo too dark >&2; exit 4"))
    assert failed["state"] == "PIPELINE_STATE_FAILED"
    assert "non-zero status of 4" in failed["error"]["message"]
    empty = train(documented, pipeline("true", output=f"gs://{BUCKET}/empty", modelToUpload=MODEL))
    assert empty["state"] == "PIPELINE_STATE_FAILED"
    assert f'no files under "gs://{BUCKET}/empty/model"' in empty["error"]["message"]
    assert "name" not in empty["modelToUpload"]


def test_a_model_has_the_id_that_was_asked_for(documented: Server) -> None:
    body = pipeline("sh", "-c", SAVE, output=f"gs://{BUCKET}/named", modelToUpload=MODEL, modelId="chest_1")
    done = train(documented, body)
    assert done["modelToUpload"]["name"] == f"{PARENT}/models/chest_1"
    answer = documented.call("POST", f"{PARENT}/trainingPipelines", body)
    assert (answer.status_code, answer.json()["error"]["status"]) == (409, "ALREADY_EXISTS")


def test_cancelling_a_pipeline_cancels_its_job(documented: Server, pipelines: Any) -> None:
    name = documented.ok("POST", f"{PARENT}/trainingPipelines", pipeline("sleep", "600"))["name"]
    documented.wait_for(name, "RUNNING")
    pipelines.cancel_training_pipeline(name=name)
    done = documented.wait_for(name, "CANCELLED")
    assert done["error"]["code"] == 1
    assert documented.ok("GET", done["trainingTaskMetadata"]["backingCustomJob"])["state"] == "JOB_STATE_CANCELLED"
    pipelines.delete_training_pipeline(name=name).result(90)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"trainingTaskInputs": None}, "training_task_inputs"),
        ({"trainingTaskInputs": {"workerPoolSpecs": []}}, "worker_pool_specs"),
        ({"trainingTaskInputs": {**inputs("true"), "colour": "red"}}, "colour"),
        ({"modelToUpload": {"displayName": "m"}}, "container_spec.image_uri"),
        ({"modelToUpload": MODEL, "modelId": "1st"}, "1st"),
        ({"inputDataConfig": {"datasetId": "1"}}, "gcs_destination"),
        (
            {"inputDataConfig": {"datasetId": "1", "gcsDestination": {"outputUriPrefix": f"gs://{BUCKET}/d"}}},
            "annotation_schema_uri",
        ),
    ],
)
def test_a_bad_custom_pipeline_is_refused(documented: Server, change: dict[str, Any], words: str) -> None:
    answer = documented.call("POST", f"{PARENT}/trainingPipelines", pipeline("true", **change))
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT"), answer.text
    assert words in answer.json()["error"]["message"]
