"""Endpoints and online prediction as the unmodified SDK asks for them, with a program that scores without a model."""

from __future__ import annotations

import base64
import shlex
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

pytest.importorskip("google.cloud.aiplatform", reason='needs the extra: pip install "cxr[gcp]"')

from emulator_server import Server, Start, wait_until
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
from google.cloud import aiplatform_v1 as v1
from google.protobuf import json_format

from cxr.cloud.emulator import process
from cxr.cloud.emulator.jobs.scorers import ScorerError, ScorerPool

BUCKET = "endpoint-bucket"
AUTOMATIC = {"automaticResources": {"minReplicaCount": 1, "maxReplicaCount": 1}}
DEDICATED = {"dedicatedResources": {"machineSpec": {"machineType": "n1-standard-4"}, "minReplicaCount": 1}}


@pytest.fixture(scope="module")
def dataset(server: Server) -> str:
    return server.dataset(BUCKET)


@pytest.fixture(scope="module")
def model(server: Server, dataset: str) -> str:
    """A cloud model."""
    return server.model(dataset, "CLOUD")


@pytest.fixture
def endpoint(server: Server) -> str:
    """A new endpoint without models."""
    return new_endpoint(server)


def new_endpoint(server: Server) -> str:
    return str(server.done(server.ok("POST", f"{server.parent}/endpoints", {"displayName": "e"}))["response"]["name"])


def deploy(server: Server, endpoint: str, model: str, **request: Any) -> str:
    body = {"deployedModel": {"model": model, **AUTOMATIC}, "trafficSplit": {"0": 100}, **request}
    return str(server.done(server.ok("POST", f"{endpoint}:deployModel", body))["response"]["deployedModel"]["id"])


def instance(data: bytes) -> dict[str, str]:
    return {"content": base64.b64encode(data).decode()}


def refused(answer: Any, status: str, words: str) -> None:
    error = answer.json()["error"]
    assert error["status"] == status, error
    assert words in error["message"]


def scorers(server: Server) -> list[psutil.Process]:
    """The programs that predict."""
    return [child for child in psutil.Process(server.pid).children() if _predicts(child)]


def _predicts(process: psutil.Process) -> bool:
    try:
        return not has_ended(process) and "--serve" in process.cmdline()
    except psutil.Error:  # it has ended meanwhile
        return False


def has_ended(process: psutil.Process) -> bool:
    """Whether it is gone, or waits for the server to notice."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # gone between the two looks
        return True


@pytest.mark.usefixtures("sdk")
def test_the_documented_way_deploys_predicts_and_removes(model: str) -> None:
    endpoint = aiplatform.Endpoint.create(display_name="documented", labels={"run": "endpoint"})
    deployed = aiplatform.Model(model).deploy(endpoint=endpoint, min_replica_count=1, max_replica_count=2)
    (listed,) = deployed.list_models()
    assert deployed.traffic_split == {listed.id: 100}
    assert (listed.model, listed.automatic_resources.max_replica_count) == (model, 2)
    answer = deployed.predict(
        [instance(b"###."), instance(b"...#")], parameters={"confidenceThreshold": 0.5, "maxPredictions": 5}
    )
    assert answer.predictions == [
        {"ids": ["2"], "displayNames": ["PNEUMONIA"], "confidences": [0.75]},
        {"ids": ["1"], "displayNames": ["NORMAL"], "confidences": [0.75]},
    ]
    assert (answer.deployed_model_id, answer.model_resource_name, answer.model_version_id) == (listed.id, model, "1")
    assert [found.name for found in aiplatform.Endpoint.list(filter='labels.run="endpoint"')] == [endpoint.name]
    endpoint.update(display_name="renamed", labels={"run": "later"})
    assert aiplatform.Endpoint(endpoint.resource_name).display_name == "renamed"
    with pytest.raises(exceptions.BadRequest, match="has deployed or being-deployed"):
        endpoint.delete()
    with pytest.raises(exceptions.BadRequest, match="undeploy the model"):
        aiplatform.Model(model).delete()
    endpoint.undeploy_all()
    assert endpoint.list_models() == []
    endpoint.delete()


def test_gapic_predicts_with_every_label_by_default(server: Server, model: str, endpoint: str) -> None:
    deploy(server, endpoint, model)
    client = v1.PredictionServiceClient(
        credentials=AnonymousCredentials(), transport="rest", client_options={"api_endpoint": server.url}
    )
    answer = client.predict(endpoint=endpoint, instances=[{**instance(b"#..."), "mimeType": "image/png"}])
    (found,) = json_format.MessageToDict(v1.PredictResponse.pb(answer))["predictions"]
    assert found == {"ids": ["1", "2"], "displayNames": ["NORMAL", "PNEUMONIA"], "confidences": [0.75, 0.25]}
    endpoints = v1.EndpointServiceClient(
        credentials=AnonymousCredentials(), transport="rest", client_options={"api_endpoint": server.url}
    )
    assert endpoints.get_endpoint(name=endpoint).deployed_models[0].model == model


def test_one_program_answers_until_the_model_is_undeployed(server: Server, model: str, endpoint: str) -> None:
    deployed = deploy(server, endpoint, model)
    before = {child.pid for child in scorers(server)}

    def ask(number: int) -> float:
        answer = server.ok("POST", f"{endpoint}:predict", {"instances": [instance(b"#" * number + b"..")]})
        return float(max(answer["predictions"][0]["confidences"]))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(2, 10))) == [number / (number + 2) for number in range(2, 10)]
    (mine,) = [child for child in scorers(server) if child.pid not in before]
    mine.kill()
    wait_until(lambda: has_ended(mine))
    assert ask(2) == 0.5  # started anew
    (again,) = [child for child in scorers(server) if child.pid not in before]
    server.done(server.ok("POST", f"{endpoint}:undeployModel", {"deployedModelId": deployed}))
    wait_until(lambda: has_ended(again))


def test_programs_end_with_the_server_and_are_started_by_the_next(start: Start) -> None:
    server = start()
    endpoint = new_endpoint(server)
    deploy(server, endpoint, server.model(server.dataset(BUCKET), "CLOUD"))
    asked = {"instances": [instance(b"##..")]}
    server.ok("POST", f"{endpoint}:predict", asked)
    (program,) = scorers(server)
    server.kill()
    wait_until(lambda: has_ended(program))
    again = start()
    assert again.ok("POST", f"{endpoint}:predict", asked)["predictions"][0]["confidences"] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "instances"),
        ({"instances": ["text"]}, "Invalid instance 0: not an object"),
        ({"instances": [{"content": "gs://b/x.jpeg"}]}, "not base64"),
        ({"instances": [{"image": "x"}]}, "'image'"),
        ({"instances": [{**instance(b"x"), "mimeType": "text/plain"}]}, "text/plain"),
        ({"instances": [instance(b"."), instance(b"broken")]}, "Invalid instance 1: the image cannot be decoded"),
        ({"instances": [instance(b"." * 1_500_001)]}, "1,500,001 bytes"),
        ({"instances": [instance(b".")], "parameters": {"confidenceThreshold": -1}}, "confidenceThreshold"),
        ({"instances": [instance(b".")], "parameters": {"topK": 1}}, "'topK'"),
    ],
)
def test_a_bad_prediction_is_refused(server: Server, served: str, body: dict[str, Any], words: str) -> None:
    refused(server.call("POST", f"{served}:predict", body), "INVALID_ARGUMENT", words)


def test_a_program_that_dies_at_once_is_an_internal_error_with_its_last_word(server: Server, served: str) -> None:
    answer = server.call("POST", f"{served}:predict", {"instances": [instance(b"die")]})
    refused(answer, "INTERNAL", "the scorer has died")


def test_an_endpoint_of_the_same_name_elsewhere_has_its_own_program(server: Server, model: str) -> None:
    answers = {}
    for labels, region in ((("NORMAL", "PNEUMONIA"), "us-central1"), (("A", "B"), "europe-west4")):
        there = Server(server.state, server.url, f"projects/p/locations/{region}")
        found = model if region == "us-central1" else there.model(there.dataset("elsewhere", labels=labels), "CLOUD")
        there.done(there.ok("POST", f"{there.parent}/endpoints?endpointId=same-name", {"displayName": "e"}))
        endpoint = f"{there.parent}/endpoints/same-name"
        deploy(there, endpoint, found, deployedModel={"model": found, "id": "1", **AUTOMATIC})
        answers[region] = there.ok("POST", f"{endpoint}:predict", {"instances": [instance(b"##..")]})
    assert len({program.pid for program in scorers(server)}) >= 2
    assert answers["europe-west4"]["predictions"][0]["displayNames"] == ["A", "B"]


@pytest.mark.slow
def test_programs_that_hang_hold_up_nothing_else_and_end_with_the_server(start: Start) -> None:
    script = "import subprocess, sys, time; subprocess.Popen(['sleep', '600']); time.sleep(600)"
    server = start(scorer=shlex.join([sys.executable, "-c", script]))
    endpoint = new_endpoint(server)
    deploy(server, endpoint, server.model(server.dataset(BUCKET), "CLOUD"))
    body = {"instances": [instance(b"#" * 400_000)]}  # more than a pipe holds

    def ask(_: int) -> int:
        try:
            return server.call("POST", f"{endpoint}:predict", body).status_code
        except requests.ConnectionError:
            return 0

    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(ask, number) for number in range(20)]  # more than there are handlers
        wait_until(lambda: any(program.children() for program in scorers(server)))
        (program,) = scorers(server)
        (child,) = program.children()
        assert server.ok("GET", endpoint)["name"] == endpoint
        assert not any(future.done() for future in asked)
        process.stop(server.state)
        assert {future.result() for future in asked} <= {0, 500}
    assert has_ended(program)
    wait_until(lambda: has_ended(child))


def test_a_program_has_its_seconds_to_read_and_to_answer(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    pool = ScorerPool(command, {}, tmp_path, idle_seconds=1, answer_seconds=0.2)
    with pytest.raises(ScorerError, match="no answer within"):
        pool.ask("key/with/slashes", tmp_path, [{"content": "#" * 1_000_000}])
    assert [path.suffix for path in tmp_path.iterdir()] == [".log"]
    pool.stop()


@pytest.fixture(scope="module")
def served(server: Server, model: str) -> str:
    """An endpoint with a model."""
    endpoint = new_endpoint(server)
    deploy(server, endpoint, model)
    return endpoint


@pytest.mark.parametrize(
    ("deployed", "split", "words"),
    [
        ({}, {}, "prediction_resources"),
        (DEDICATED, {}, "'dedicated_resources' is not supported for Model"),
        ({"sharedResources": "pool"}, {}, "'shared_resources' is not supported for Model"),
        ({"automaticResources": {"minReplicaCount": 2, "maxReplicaCount": 1}}, {}, "max_replica_count"),
        ({**AUTOMATIC, "id": "a"}, {}, "'a'"),
        (AUTOMATIC, {"0": 90}, "add up to 100"),
        (AUTOMATIC, {"0": 50, "4711": 50}, "4711"),
        ({**AUTOMATIC, "colour": "red"}, {}, "colour"),
    ],
)
def test_a_bad_deployment_is_refused(
    server: Server, model: str, served: str, deployed: dict[str, Any], split: dict[str, int], words: str
) -> None:
    body = {"deployedModel": {"model": model, **deployed}, "trafficSplit": split}
    refused(server.call("POST", f"{served}:deployModel", body), "INVALID_ARGUMENT", words)


def test_a_mobile_model_cannot_be_deployed(server: Server, dataset: str, served: str) -> None:
    body = {"deployedModel": {"model": server.model(dataset), **AUTOMATIC}}
    refused(server.call("POST", f"{served}:deployModel", body), "INVALID_ARGUMENT", "'automatic_resources'")


def test_traffic_is_divided_and_only_an_idle_model_undeployed(server: Server, model: str, endpoint: str) -> None:
    asked = {"instances": [instance(b"#.")]}
    refused(server.call("POST", f"{endpoint}:predict", asked), "FAILED_PRECONDITION", "no deployed model")
    first = deploy(server, endpoint, model)
    second = deploy(server, endpoint, f"{model}@1", trafficSplit={first: 0, "0": 100})
    assert {server.ok("POST", f"{endpoint}:predict", asked)["deployedModelId"] for _ in range(3)} == {second}
    undeploy = {"deployedModelId": second}
    refused(server.call("POST", f"{endpoint}:undeployModel", undeploy), "FAILED_PRECONDITION", "100 %")
    mask = {"name": endpoint, "trafficSplit": {first: 100, second: 0}}
    server.ok("PATCH", f"{endpoint}?updateMask=trafficSplit", mask)
    bad = {"name": endpoint, "trafficSplit": {first: 99}}
    refused(server.call("PATCH", f"{endpoint}?updateMask=trafficSplit", bad), "INVALID_ARGUMENT", "100")
    server.done(server.ok("POST", f"{endpoint}:undeployModel", undeploy))
    assert server.ok("GET", endpoint)["trafficSplit"] == {first: 100}
    refused(server.call("POST", f"{endpoint}:undeployModel", undeploy), "NOT_FOUND", second)
    server.done(server.ok("POST", f"{endpoint}:undeployModel", {"deployedModelId": first}))
    assert "trafficSplit" not in server.ok("GET", endpoint) or server.ok("GET", endpoint)["trafficSplit"] == {}


@pytest.mark.parametrize(
    ("endpoint_id", "ok"), [("my-endpoint", True), ("123456789", True), ("-x", False), ("0", False)]
)
def test_an_endpoint_may_be_named(server: Server, endpoint_id: str, ok: bool) -> None:
    path = f"{server.parent}/endpoints?endpointId={endpoint_id}"
    if not ok:
        refused(server.call("POST", path, {"displayName": "named"}), "INVALID_ARGUMENT", endpoint_id)
        return
    server.ok("POST", path, {"displayName": "named"})
    refused(server.call("POST", path, {"displayName": "named"}), "ALREADY_EXISTS", endpoint_id)
    server.done(server.ok("DELETE", f"{server.parent}/endpoints/{endpoint_id}"))


@pytest.mark.usefixtures("sdk")
def test_a_model_of_ones_own_is_stored_exported_and_deleted(server: Server, endpoint: str) -> None:
    server.bucket(BUCKET)
    server.put(BUCKET, "mine/saved_model.pb", b"bytes")
    uploaded = aiplatform.Model.upload(
        display_name="mine",
        artifact_uri=f"gs://{BUCKET}/mine",
        serving_container_image_uri="docker.io/tensorflow/serving:2.19.0",
        labels={"run": "upload"},
    )
    assert (uploaded.version_id, uploaded.supported_export_formats.keys()) == ("1", {"custom-trained"})
    (version,) = uploaded.versioning_registry.list_versions()
    assert version.version_aliases == ["default"]
    exported = uploaded.export_model("custom-trained", artifact_destination=f"gs://{BUCKET}/out")
    place = exported["artifactOutputUri"].removeprefix(f"gs://{BUCKET}/")
    assert aiplatform.Model(uploaded.versioned_resource_name).uri == f"gs://{BUCKET}/mine"
    listing = server.url + f"/storage/v1/b/{BUCKET}/o?prefix={place}"
    found = requests.get(listing, timeout=60).json()
    assert [item["name"] for item in found["items"]] == [f"{place}/saved_model.pb"]
    name = uploaded.resource_name
    body = {"deployedModel": {"model": name, **AUTOMATIC}}
    refused(server.call("POST", f"{endpoint}:deployModel", body), "INVALID_ARGUMENT", "'automatic_resources'")
    body = {"deployedModel": {"model": name, **DEDICATED}}
    refused(server.call("POST", f"{endpoint}:deployModel", body), "UNIMPLEMENTED", "container")
    uploaded.delete()


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"displayName": ""}, "INVALID_ARGUMENT", "display_name"),
        ({"containerSpec": {}}, "INVALID_ARGUMENT", "container_spec"),
        ({"artifactUri": "http://x"}, "INVALID_ARGUMENT", "http://x"),
        ({"artifactUri": "gs://endpoint-bucket/nothing"}, "NOT_FOUND", "nothing"),
        ({"colour": "red"}, "INVALID_ARGUMENT", "colour"),
    ],
)
def test_a_bad_upload_is_refused(server: Server, change: dict[str, Any], status: str, words: str) -> None:
    model = {"displayName": "mine", "containerSpec": {"imageUri": "docker.io/x/y:1"}, **change}
    refused(server.call("POST", f"{server.parent}/models:upload", {"model": model}), status, words)


def test_a_further_version_is_not_implemented(server: Server, model: str) -> None:
    body = {"parentModel": model, "model": {"displayName": "mine"}}
    refused(server.call("POST", f"{server.parent}/models:upload", body), "UNIMPLEMENTED", "versions beyond the first")
