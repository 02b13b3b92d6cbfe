"""Batch prediction as the unmodified SDK asks for it, with a program that scores without a model."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("google.cloud.aiplatform", reason='needs the extra: pip install "cxr[gcp]"')

from emulator_server import Server, Start, wait_until
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform, storage
from google.cloud import aiplatform_v1 as v1

BUCKET = "batch-bucket"


@pytest.fixture(scope="module")
def dataset(server: Server) -> str:
    return server.dataset(BUCKET)


@pytest.fixture(scope="module")
def model(server: Server, dataset: str) -> str:
    """A cloud model."""
    return server.model(dataset, "CLOUD")


def request(server: Server, model_name: str, instances: list[Any], **changes: Any) -> dict[str, Any]:
    """A job's body; the instances are put into the bucket, texts as they are."""
    lines = [line if isinstance(line, str) else json.dumps(line) for line in instances]
    server.put(BUCKET, "instances.jsonl", "\n".join(lines).encode())
    return {
        "displayName": "batch",
        "model": model_name,
        "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": [f"gs://{BUCKET}/instances.jsonl"]}},
        "outputConfig": {
            "predictionsFormat": "jsonl",
            "gcsDestination": {"outputUriPrefix": f"gs://{BUCKET}/out/"},
        },
        **changes,
    }


def image(server: Server, name: str, data: bytes) -> dict[str, str]:
    server.put(BUCKET, name, data)
    return {"content": f"gs://{BUCKET}/{name}", "mimeType": "image/jpeg"}


def lines_of(server: Server, directory: str, name: str) -> list[dict[str, Any]]:
    client = storage.Client("p", AnonymousCredentials(), client_options={"api_endpoint": server.url})
    blob = client.bucket(BUCKET).blob(f"{directory.removeprefix(f'gs://{BUCKET}/')}/{name}")
    return [json.loads(line) for line in blob.download_as_text().splitlines()]


@pytest.mark.usefixtures("sdk")
def test_the_documented_way_gives_predictions_errors_and_counts(server: Server, model: str) -> None:
    images = [image(server, f"batch-{count}.jpeg", b"#" * count + b"." * (4 - count)) for count in (1, 3)]
    bad = [image(server, "broken.jpeg", b"broken"), {"content": f"gs://{BUCKET}/gone.jpeg"}, "not json"]
    request(server, model, [*images, *bad])
    job = aiplatform.BatchPredictionJob.submit(
        job_display_name="batch",
        model_name=f"{model}@1",
        instances_format="jsonl",
        predictions_format="jsonl",
        gcs_source=f"gs://{BUCKET}/instances.jsonl",
        gcs_destination_prefix=f"gs://{BUCKET}/out",
        model_parameters={"confidenceThreshold": 0.5, "maxPredictions": 1},
        labels={"run": "batch"},
    )
    wait_until(lambda: job.state.name.endswith(("SUCCEEDED", "FAILED")))
    assert job.state.name == "JOB_STATE_SUCCEEDED", job.error
    assert (job.completion_stats.successful_count, job.completion_stats.failed_count) == (2, 3)
    directory = job.output_info.gcs_output_directory
    assert directory.startswith(f"gs://{BUCKET}/out/prediction-m-20")
    names = [blob.name.rpartition("/")[2] for blob in job.iter_outputs()]
    assert names == ["errors_00001.jsonl", "predictions_00001.jsonl"]
    first, second = lines_of(server, directory, "predictions_00001.jsonl")
    assert first == {
        "instance": images[0],
        "prediction": {"ids": ["1"], "displayNames": ["NORMAL"], "confidences": [0.75]},
    }
    assert second["prediction"]["displayNames"] == ["PNEUMONIA"]
    errors = lines_of(server, directory, "errors_00001.jsonl")
    assert [(line["instance"], line["error"]["code"]) for line in errors] == [
        (bad[0], 3),
        (bad[1], 5),
        ("not json", 3),
    ]
    assert [failure.message for failure in job.partial_failures] == [line["error"]["message"] for line in errors]
    found = aiplatform.BatchPredictionJob.list(filter='labels.run="batch"')
    assert [other.resource_name for other in found] == [job.resource_name]
    job.delete()


def test_gapic_sees_states_and_times(server: Server, model: str) -> None:
    client = v1.JobServiceClient(
        credentials=AnonymousCredentials(), transport="rest", client_options={"api_endpoint": server.url}
    )
    body = request(server, model, [image(server, "one.jpeg", b"#.")])
    wanted = v1.BatchPredictionJob(
        display_name="gapic",
        model=model,
        input_config=v1.BatchPredictionJob.InputConfig(
            instances_format="jsonl", gcs_source=v1.GcsSource(uris=body["inputConfig"]["gcsSource"]["uris"])
        ),
        output_config=v1.BatchPredictionJob.OutputConfig(
            predictions_format="jsonl",
            gcs_destination=v1.GcsDestination(output_uri_prefix=f"gs://{BUCKET}/gapic"),
        ),
    )
    created = client.create_batch_prediction_job(parent=server.parent, batch_prediction_job=wanted)
    assert created.state.name == "JOB_STATE_PENDING"
    server.wait_for(created.name, "SUCCEEDED", "FAILED")
    done = client.get_batch_prediction_job(name=created.name)
    assert (done.state.name, done.model_version_id) == ("JOB_STATE_SUCCEEDED", "1")
    assert done.create_time <= done.start_time <= done.end_time
    (line,) = lines_of(server, done.output_info.gcs_output_directory, "predictions_00001.jsonl")
    assert line["prediction"]["confidences"] == [0.5, 0.5]  # without parameters: every label
    client.delete_batch_prediction_job(name=created.name).result(90)


def test_many_predictions_are_several_files(server: Server, model: str) -> None:
    one = image(server, "one.jpeg", b"#.")
    job = server.ok("POST", f"{server.parent}/batchPredictionJobs", request(server, model, [one] * 501))
    done = server.wait_for(job["name"], "SUCCEEDED", "FAILED")
    assert done["completionStats"] == {"successfulCount": "501"}
    assert len(lines_of(server, done["outputInfo"]["gcsOutputDirectory"], "predictions_00002.jsonl")) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"displayName": ""}, "display_name"),
        ({"colour": "red"}, "colour"),
        ({"inputConfig": {"instancesFormat": "csv"}}, "'csv'"),
        ({"inputConfig": {"instancesFormat": "jsonl"}}, "gcs_source"),
        ({"inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": ["http://x"]}}}, "http://x"),
        ({"outputConfig": {"predictionsFormat": "bigquery"}}, "'bigquery'"),
        ({"outputConfig": {"predictionsFormat": "jsonl"}}, "gcs_destination"),
        ({"modelParameters": {"confidenceThreshold": 1.5}}, "confidenceThreshold"),
        ({"modelParameters": {"maxPredictions": 0}}, "maxPredictions"),
        ({"modelParameters": {"threshold": 0.5}}, "'threshold'"),
        ({"dedicatedResources": {"machineSpec": {"machineType": "n1-standard-4"}}}, "'dedicated_resources'"),
    ],
)
def test_a_bad_batch_job_is_refused(server: Server, model: str, change: dict[str, Any], words: str) -> None:
    answer = server.call("POST", f"{server.parent}/batchPredictionJobs", request(server, model, [], **change))
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"
    assert words in answer.json()["error"]["message"]


def test_a_mobile_model_is_not_predicted_with_by_the_service(server: Server, dataset: str) -> None:
    body = request(server, server.model(dataset), [])
    answer = server.call("POST", f"{server.parent}/batchPredictionJobs", body)
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"
    assert "no batch prediction" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "projects/p/locations/us-central1/models/4711"}, "4711"),
        ({"outputConfig": {"predictionsFormat": "jsonl", "gcsDestination": {"outputUriPrefix": "gs://none"}}}, "none"),
    ],
)
def test_what_is_not_there_is_not_found(server: Server, model: str, change: dict[str, Any], words: str) -> None:
    answer = server.call("POST", f"{server.parent}/batchPredictionJobs", request(server, model, [], **change))
    assert (answer.status_code, answer.json()["error"]["status"]) == (404, "NOT_FOUND")
    assert words in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("instances", "code", "words"),
    [
        ([], 3, "no instance"),
        (['{"content": 5}', "nothing"], 3, "content is missing"),
        ([{"content": f"gs://{BUCKET}/die.jpeg"}], 13, "the scorer has died"),
    ],
    ids=["empty", "all bad", "the program fails"],
)
def test_a_batch_job_that_predicts_nothing_fails(
    server: Server, model: str, instances: list[Any], code: int, words: str
) -> None:
    server.put(BUCKET, "die.jpeg", b"die")
    job = server.ok("POST", f"{server.parent}/batchPredictionJobs", request(server, model, instances))
    failed = server.wait_for(job["name"], "SUCCEEDED", "FAILED")
    assert (failed["state"], failed["error"]["code"]) == ("JOB_STATE_FAILED", code)
    assert words in failed["error"]["message"]


def test_a_running_batch_job_is_cancelled_then_deleted(server: Server, model: str) -> None:
    body = request(server, model, [image(server, "hang.jpeg", b"hang")])
    name = server.ok("POST", f"{server.parent}/batchPredictionJobs", body)["name"]
    server.wait_for(name, "RUNNING")
    assert server.call("DELETE", name).json()["error"]["status"] == "FAILED_PRECONDITION"
    server.ok("POST", f"{name}:cancel", {})
    server.wait_for(name, "CANCELLED")
    assert server.call("POST", f"{name}:cancel", {}).json()["error"]["status"] == "FAILED_PRECONDITION"
    server.done(server.ok("DELETE", name))
    assert server.call("GET", name).status_code == 404


def test_a_batch_job_survives_kill_9(start: Start) -> None:
    server = start()
    model = server.model(server.dataset(BUCKET), "CLOUD")
    body = request(server, model, [image(server, "hang.jpeg", b"hang")])
    name = server.ok("POST", f"{server.parent}/batchPredictionJobs", body)["name"]
    server.wrapper(name)
    server.kill()
    again = start()
    assert again.ok("GET", name)["state"] == "JOB_STATE_RUNNING"
    again.ok("POST", f"{name}:cancel", {})
    again.wait_for(name, "CANCELLED")
    assert again.attempts(name) == ["attempt-1"]
