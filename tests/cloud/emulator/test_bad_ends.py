"""Ends that cannot be worked out fail their own job, and no other job waits for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests
from emulator_server import Server, Start, wait_until
from google.cloud import aiplatform_v1 as v1
from sdk import PARENT, client
from test_custom_training import MODEL, SAVE, pipeline
from test_tuning import ended, tuning

#: Budgets of the tiny stand-in that leave an evaluation with NaN, and slices without metrics.
NOT_A_NUMBER, BAD_SLICES = 1007, 1008


def goes_on(server: Server) -> None:
    """Another job still runs to its end."""
    server.wait_for(server.custom_job("true"), "SUCCEEDED")


def reporting(line: str, **study: Any) -> dict[str, Any]:
    script = f"import os; open(os.environ['CLOUD_ML_HP_METRIC_FILE'], 'w').write({line} + chr(10))"
    return tuning("python3", "-c", script, most=1, parallel=1, **study)


@pytest.mark.parametrize("budget", [NOT_A_NUMBER, BAD_SLICES])
def test_an_evaluation_that_is_none_fails_the_training(server: Server, budget: int) -> None:
    failed = server.wait_for(server.train(server.dataset("bad-ends"), budget), "SUCCEEDED", "FAILED")
    assert (failed["state"], failed["error"]["code"]) == ("PIPELINE_STATE_FAILED", 13)
    assert "evaluation that cannot be used" in failed["error"]["message"]
    goes_on(server)


def test_a_model_id_that_was_taken_meanwhile_fails_the_second_pipeline(server: Server, tmp_path: Path) -> None:
    server.bucket("training")
    gate = tmp_path / "gate"  # no training ends before both are accepted
    save = f"while [ ! -e {gate} ]; do sleep 0.01; done; {SAVE}"
    body = pipeline("sh", "-c", save, modelToUpload=MODEL, modelId="taken_twice")
    names = [server.ok("POST", f"{PARENT}/trainingPipelines", body)["name"] for _ in range(2)]
    gate.touch()
    ends = [server.wait_for(name, "SUCCEEDED", "FAILED") for name in names]
    (failed,) = [end for end in ends if end["state"] == "PIPELINE_STATE_FAILED"]
    assert failed["error"]["code"] == 6
    assert "taken_twice already exists" in failed["error"]["message"]
    goes_on(server)


def test_a_metric_that_no_double_holds_is_no_measurement(server: Server) -> None:
    failed = ended(server, reporting("'{\"auc\": 1' + '0' * 400 + '}'"))
    assert "no measurement" in failed["error"]["message"]
    goes_on(server)


def test_a_time_in_milliseconds_leaves_a_job_that_can_be_read(server: Server) -> None:
    line = '\'{"auc": 0.5, "timestamp": 1790000000000, "global_step": 1e300}\''
    done = ended(server, reporting(line))
    assert done["state"] == "JOB_STATE_SUCCEEDED", done
    jobs = client(v1.JobServiceClient, server.url)  # asks for enums as numbers
    (trial,) = jobs.get_hyperparameter_tuning_job(name=done["name"]).trials
    assert trial.final_measurement.elapsed_duration <= trial.end_time - trial.start_time
    assert trial.final_measurement.step_count == 2**63 - 1
    assert done["name"] in {job.name for job in jobs.list_hyperparameter_tuning_jobs(parent=PARENT)}


def test_a_cancelled_job_is_not_launched_any_more(start: Start) -> None:
    server = start(max_running_jobs=1)
    gate = server.state / "gate"
    first = server.custom_job("sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.01; done")
    server.wait_for(first, "RUNNING")
    waiting = server.custom_job("true")
    server.ok("POST", f"{waiting}:cancel", {})
    seen = {server.ok("GET", waiting)["state"]}
    server.wait_for(waiting, "CANCELLED")
    assert seen <= {"JOB_STATE_CANCELLING", "JOB_STATE_CANCELLED"}
    assert server.attempts(waiting) == []
    gate.touch()
    server.wait_for(first, "SUCCEEDED")


def test_a_job_that_was_cancelled_while_it_was_prepared_never_shows_running(server: Server) -> None:
    server.bucket("large")
    for number in range(6):
        server.put("large", f"part-{number}", bytes(1 << 24))
    name = server.custom_job("sh", "-c", "ls /gcs/large; sleep 60")
    wait_until(lambda: server.attempts(name) != [])
    server.ok("POST", f"{name}:cancel", {})
    seen = set()
    while (state := server.ok("GET", name)["state"]) != "JOB_STATE_CANCELLED":
        seen.add(state)
    assert seen <= {"JOB_STATE_CANCELLING"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("v2/entries:list", {"pageSize": [1]}),
        ("v2/entries:list", {"pageSize": "x"}),
        ("v2/entries:list", {"resourceNames": 5}),
        ("v2/entries:list", {"resourceNames": [{}]}),
        (f"v1/{PARENT}/endpoints/1:predict", {"instances": None}),
    ],
)
def test_json_of_the_wrong_shape_is_an_invalid_argument(server: Server, path: str, body: dict[str, Any]) -> None:
    answer = requests.post(f"{server.url}/{path}", json=body, timeout=60)
    assert answer.status_code in {400, 404}, answer.text


def test_page_tokens_policies_and_faults_of_the_wrong_shape_are_refused(server: Server) -> None:
    token = "YmVmb3JlOjk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"  # before:99999999999999999999999
    assert server.call("GET", f"{PARENT}/models?pageToken={token}").status_code == 400
    policy = f"{server.url}/storage/v1/b/{server.bucket('policies')}/iam"
    for change in ({"etag": []}, {"version": {}}, {"version": "x"}):
        assert requests.put(policy, json={"bindings": [], **change}, timeout=60).status_code == 400
    for change in ({"per": []}, {"action": {}}):
        rules = {"rules": [{"action": "reset", **change}]}
        assert requests.put(f"{server.url}/_emulator/faults", json=rules, timeout=60).status_code == 400


def test_u2028_in_an_instance_cuts_no_line(server: Server) -> None:
    model = server.model(server.dataset("bad-ends"), "CLOUD")
    line = json.dumps({"content": "gs://bad-ends/\u2028none.png", "mimeType": "image/png"}, ensure_ascii=False)
    server.put("bad-ends", "in.jsonl", (line + '\r\n{"content": "gs://bad-ends/0.jpeg"}\n').encode())
    body = {
        "displayName": "b",
        "model": model,
        "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": ["gs://bad-ends/in.jsonl"]}},
        "outputConfig": {"predictionsFormat": "jsonl", "gcsDestination": {"outputUriPrefix": "gs://bad-ends/out"}},
    }
    name = server.ok("POST", f"{PARENT}/batchPredictionJobs", body)["name"]
    done = server.wait_for(name, "SUCCEEDED", "FAILED")
    assert done["completionStats"] == {"successfulCount": "1", "failedCount": "1"}, done
