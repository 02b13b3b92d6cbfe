"""What the service refuses, the emulator refuses, in the service's words and shape."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from emulator_server import IMAGE_SCHEMA, TASK, Server


@pytest.fixture(scope="module")
def dataset(server: Server) -> str:
    return server.dataset("strict-bucket")


def refused(answer: requests.Response, status: str, words: str = "") -> None:
    error = answer.json()["error"]
    assert (error["status"], error["code"]) == (status, answer.status_code), answer.text
    assert words in error["message"]


def test_an_unknown_field_is_an_invalid_argument(server: Server) -> None:
    body = {"displayName": "d", "metadataSchemaUri": IMAGE_SCHEMA, "colour": "red"}
    refused(server.call("POST", f"{server.parent}/datasets", body), "INVALID_ARGUMENT", "colour")


def test_a_value_of_the_wrong_type_is_an_invalid_argument(server: Server) -> None:
    refused(server.call("POST", f"{server.parent}/datasets", {"displayName": 5}), "INVALID_ARGUMENT", "displayName")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"displayName": ""}, "display_name"),
        ({"displayName": "x" * 129}, "128"),
        ({"labels": {"Team": "x"}}, "Label key"),
        ({"labels": {"team": "Red"}}, "Label value"),
        ({"trainingTaskDefinition": "gs://mine/task.yaml"}, "definition"),
        ({"inputDataConfig": {}}, "input_data_config"),
        ({"inputDataConfig": {"datasetId": "1", "filterSplit": {"trainingFilter": "-"}}}, "validation_filter"),
        ({"trainingTaskInputs": {"modelType": "HUGE"}}, "HUGE"),
        ({"trainingTaskInputs": {"modelType": "CLOUD", "epochs": 4}}, "epochs"),
        ({"trainingTaskInputs": {"modelType": "CLOUD", "budgetMilliNodeHours": 7999}}, "8,000 to 800,000"),
        ({"trainingTaskInputs": {"modelType": "CLOUD", "budgetMilliNodeHours": "800001"}}, "8,000 to 800,000"),
        (
            {"trainingTaskInputs": {"modelType": "MOBILE_TF_VERSATILE_1", "budgetMilliNodeHours": 999}},
            "1,000 to 100,000",
        ),
        ({"trainingTaskInputs": {"modelType": "MOBILE_TF_LOW_LATENCY_1", "budgetMilliNodeHours": 1.5e5}}, "100,000"),
        ({"trainingTaskInputs": {"modelType": "CLOUD", "budgetMilliNodeHours": 9000.5}}, "whole number"),
        ({"trainingTaskInputs": {"modelType": "CLOUD", "budgetMilliNodeHours": False}}, "whole number"),
    ],
)
def test_a_bad_training_pipeline_is_refused(server: Server, dataset: str, change: dict[str, Any], words: str) -> None:
    body = server.pipeline(dataset, **change)
    refused(server.call("POST", f"{server.parent}/trainingPipelines", body), "INVALID_ARGUMENT", words)


def test_automl_is_in_two_regions_only(server: Server, dataset: str) -> None:
    path = "projects/p/locations/europe-west3/trainingPipelines"
    refused(server.call("POST", path, server.pipeline(dataset)), "INVALID_ARGUMENT", "us-central1 and europe-west4")


def test_a_dataset_that_does_not_exist_is_not_found(server: Server, dataset: str) -> None:
    body = server.pipeline(f"{server.parent}/datasets/4711")
    refused(server.call("POST", f"{server.parent}/trainingPipelines", body), "NOT_FOUND", "4711")


@pytest.mark.parametrize(
    "collection", ["datasets", "trainingPipelines", "customJobs", "models", "batchPredictionJobs", "endpoints"]
)
def test_unknown_resources_are_not_found(server: Server, collection: str) -> None:
    for method in ("GET", "DELETE"):
        refused(server.call(method, f"{server.parent}/{collection}/4711"), "NOT_FOUND", "4711")


@pytest.mark.parametrize(
    ("labels", "items", "words"), [(("NORMAL",), 12, "At least 2 labels"), (("A", "B"), 18, "A has 9, B has 9")]
)
def test_too_few_labels_or_images_fail_the_pipeline(
    server: Server, labels: tuple[str, ...], items: int, words: str
) -> None:
    name = server.train(server.dataset(f"few-{items}", items, labels))
    failed = server.wait_for(name, "SUCCEEDED", "FAILED")
    assert failed["state"] == "PIPELINE_STATE_FAILED"
    assert failed["error"]["code"] == 3
    assert words in failed["error"]["message"]


def test_an_empty_budget_is_the_services_default(server: Server, dataset: str) -> None:
    inputs = {"modelType": "MOBILE_TF_VERSATILE_1"}
    name = server.train(dataset, trainingTaskInputs=inputs)
    server.wait_for(name, "SUCCEEDED")
    launch = (server.state / "jobs" / name.rpartition("/")[2] / "attempt-1" / "launch.json").read_text()
    assert '"--budget-milli-node-hours", "24000"' in launch
    assert "no budget was given" in (server.state / "server.log").read_text()


@pytest.mark.parametrize(("model_type", "format_id"), [("CLOUD", "tflite"), ("MOBILE_TF_VERSATILE_1", "core-ml")])
def test_a_format_that_the_model_has_not_is_refused(
    server: Server, dataset: str, model_type: str, format_id: str
) -> None:
    model = server.model(dataset, model_type)
    config = {"exportFormatId": format_id, "artifactDestination": {"outputUriPrefix": "gs://strict-bucket/out"}}
    words = f"Exporting artifact for model `{model}` in format `{format_id}` is not supported."
    refused(server.call("POST", f"{model}:export", {"outputConfig": config}), "FAILED_PRECONDITION", words)


def test_a_model_is_named_with_its_version_too(server: Server, dataset: str) -> None:
    model = server.wait_for(server.train(dataset), "SUCCEEDED")["modelToUpload"]["name"]
    assert server.ok("GET", f"{model}@1")["name"] == server.ok("GET", f"{model}%40default")["name"] == model
    refused(server.call("GET", f"{model}@2"), "NOT_FOUND")
    changed = server.ok("PATCH", f"{model}?updateMask=labels", {"name": model, "labels": {"a": "b"}})
    assert changed["labels"] == {"a": "b"}


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("POST", "endpoints/1:explain", "projects.locations.endpoints.explain"),
        ("GET", "pipelineJobs", "projects.locations.pipelineJobs.list"),
        ("POST", "models:copy", "projects.locations.models.copy"),
        ("POST", "models/1/evaluations:import", "projects.locations.models.evaluations.import"),
    ],
)
def test_what_is_not_implemented_says_so_by_name(server: Server, method: str, path: str, words: str) -> None:
    refused(server.call(method, f"{server.parent}/{path}", {}), "UNIMPLEMENTED", words)


@pytest.mark.parametrize(
    ("pool", "words"),
    [
        ({}, "replica_count"),
        ({"replicaCount": "1"}, "machine_spec"),
        ({"replicaCount": "1", "machineSpec": {"machineType": "huge"}}, "huge"),
        ({"replicaCount": "1", "machineSpec": {"machineType": "g2-standard-5"}}, "g2-standard-5"),
        ({"replicaCount": "1", "machineSpec": {"machineType": "n1-bogus-4"}}, "n1-bogus-4"),
        (
            {
                "replicaCount": "1",
                "machineSpec": {
                    "machineType": "g2-standard-4",
                    "acceleratorType": "NVIDIA_TESLA_T4",
                    "acceleratorCount": 1,
                },
            },
            "NVIDIA_TESLA_T4",
        ),
        ({"replicaCount": "1", "machineSpec": {"machineType": "n1-standard-4"}}, "container_spec"),
        (
            {
                "replicaCount": "1",
                "machineSpec": {"machineType": "n1-standard-4"},
                "containerSpec": {"command": ["ls"]},
            },
            "image_uri",
        ),
    ],
)
def test_a_bad_worker_pool_is_refused(server: Server, pool: dict[str, Any], words: str) -> None:
    body = {"displayName": "c", "jobSpec": {"workerPoolSpecs": [pool]}}
    refused(server.call("POST", f"{server.parent}/customJobs", body), "INVALID_ARGUMENT", words)


CONTAINER = {"imageUri": "x/y", "command": ["true"]}
GOOD_POOL = {"replicaCount": "1", "machineSpec": {"machineType": "n1-standard-4"}, "containerSpec": CONTAINER}
PACKAGE = {"executorImageUri": "x/y", "pythonModule": "m"}


@pytest.mark.parametrize(
    ("pool", "spec", "words"),
    [
        ({"containerSpec": {**CONTAINER, "env": [{"name": "A=B", "value": "x"}]}}, {}, "'A=B'"),
        ({"containerSpec": {**CONTAINER, "env": [{"name": "A", "value": "x\0"}]}}, {}, "NUL"),
        ({"containerSpec": {**CONTAINER, "args": ["a\0"]}}, {}, "NUL"),
        ({}, {"scheduling": {"timeout": "100000000000s"}}, "year"),
        ({"pythonPackageSpec": {**PACKAGE, "packageUris": ["gs://b/pkg/.."]}}, {}, "gs://b/pkg/.."),
        ({"pythonPackageSpec": {**PACKAGE, "packageUris": ["gs://b/../x.whl"]}}, {}, "x.whl"),
    ],
)
def test_a_job_that_could_never_start_is_refused(
    server: Server, pool: dict[str, Any], spec: dict[str, Any], words: str
) -> None:
    chosen = {
        key: value for key, value in GOOD_POOL.items() if key != "containerSpec" or "pythonPackageSpec" not in pool
    }
    body = {"displayName": "c", "jobSpec": {"workerPoolSpecs": [{**chosen, **pool}], **spec}}
    refused(server.call("POST", f"{server.parent}/customJobs", body), "INVALID_ARGUMENT", words)


def test_more_replicas_than_this_machine_bears_are_refused(server: Server) -> None:
    pools = [GOOD_POOL, {**GOOD_POOL, "replicaCount": "100"}]
    body = {"displayName": "c", "jobSpec": {"workerPoolSpecs": pools}}
    refused(server.call("POST", f"{server.parent}/customJobs", body), "INVALID_ARGUMENT", "101 replicas")


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("projects/p/locations/mars-north9/endpoints", "NOT_FOUND", "mars-north9"),
        ("projects/p/locations/us-central1/models?bogus=1", "INVALID_ARGUMENT", "bogus"),
        ("projects/p/locations/us-central1/models?orderBy=nonsense%20xyz", "UNIMPLEMENTED", "nonsense"),
        ("projects/p/locations/us-central1/models?readMask=name", "UNIMPLEMENTED", "readMask"),
    ],
)
def test_nonsense_in_a_listings_address_is_refused(server: Server, path: str, status: str, words: str) -> None:
    refused(server.call("GET", path), status, words)


def test_a_listing_is_ordered_as_asked(server: Server) -> None:
    there = "projects/p/locations/europe-west9/endpoints"
    for name in ("b", "c", "a"):
        server.done(server.ok("POST", there, {"displayName": name}))

    def names(query: str) -> list[str]:
        seen, token = [], ""
        while token is not None:
            page = server.ok("GET", f"{there}?pageSize=2&{query}&pageToken={token}&$alt=json&prettyPrint=false")
            seen += [item["displayName"] for item in page["endpoints"]]
            token = page.get("nextPageToken")
        return seen

    assert names("orderBy=display_name") == ["a", "b", "c"]
    assert names("orderBy=create_time%20desc") == names("") == ["a", "c", "b"]


def test_nothing_is_changed_by_a_link(server: Server) -> None:
    job = server.custom_job("sleep", "600")
    for method, verb in (("GET", "cancel"), ("GET", "delete"), ("POST", "delete"), ("PUT", "cancel")):
        refused(server.call(method, f"{job}:{verb}", {}), "NOT_FOUND", verb)
    assert server.ok("GET", job)["state"] in {"JOB_STATE_PENDING", "JOB_STATE_RUNNING"}
    server.ok("POST", f"{job}:cancel", {})
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)):
        answer = requests.get(f"{server.url}/v1/{job}", headers={"Sec-Fetch-Site": site}, timeout=60)
        assert (site, answer.status_code) == (site, status)
    server.wait_for(job, "CANCELLED")


def test_web_pages_are_refused(server: Server) -> None:
    paths = [f"v1/{server.parent}/customJobs", "storage/v1/b", "upload/storage/v1/b/x/o", "_emulator/status", ""]
    for path in [*paths, "_emulator/faults", "_emulator/requests", "ui/x", "anything"]:
        for header in ({"Origin": "https://example.com"}, {"Host": "rebound.example.com:80"}):
            for method in ("GET", "POST", "PUT", "DELETE"):
                answer = requests.request(method, f"{server.url}/{path}", headers=header, data=b"{}", timeout=60)
                assert (answer.status_code, path, header) == (403, path, header)


def test_task_definition_of_other_kinds_is_not_implemented(server: Server, dataset: str) -> None:
    body = server.pipeline(dataset, trainingTaskDefinition=TASK.replace("classification", "object_detection"))
    refused(server.call("POST", f"{server.parent}/trainingPipelines", body), "UNIMPLEMENTED", "object_detection")
