"""Scripted outcomes: failures, preemptions, stock-outs, stuck jobs and imports that lose rows, kept on disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from emulator_server import IO_FORMAT, Server, Start, is_alive, wait_until
from google.cloud import aiplatform_v1 as v1
from sdk import PARENT, client, custom_job, pool, wait_until_ended
from test_replicas import lines_by_task
from typer.testing import CliRunner

from cxr.cli.emulator import app
from cxr.cloud.emulator.jobs.outcome_rules import OutcomeError, rules_of

SPOT = {"strategy": v1.Scheduling.Strategy.SPOT}


@pytest.fixture
def scripted(server: Server) -> Iterator[Server]:
    """The shared server; its outcomes are gone after the test."""
    yield server
    requests.delete(f"{server.url}/_emulator/outcomes", timeout=60)


@pytest.fixture(scope="module")
def jobs(server: Server) -> Any:
    return client(v1.JobServiceClient, server.url)


def script(server: Server, *rules: dict[str, Any]) -> None:
    answer = requests.put(f"{server.url}/_emulator/outcomes", json={"rules": list(rules)}, timeout=60)
    assert answer.status_code == 200, answer.text


def fired(server: Server) -> list[int]:
    rules = requests.get(f"{server.url}/_emulator/outcomes", timeout=60).json()["rules"]
    return [rule["fired"] for rule in rules]


def spot_job(server: Server, *command: str, **scheduling: Any) -> str:
    return server.custom_job(*command, scheduling={"strategy": "SPOT", **scheduling})


def test_a_job_fails_with_the_code_and_the_words_that_were_asked_for(scripted: Server) -> None:
    rule = {"resource": "customJobs", "outcome": "fail", "seconds": 0.1, "code": "INTERNAL", "message": "no luck"}
    script(scripted, {**rule, "display_name": "^c$", "times": 1})
    failed = scripted.wait_for(scripted.custom_job("sleep", "600"), "SUCCEEDED", "FAILED")
    assert failed["error"] == {"code": 13, "message": "no luck"}
    assert scripted.wait_for(scripted.custom_job("true"), "SUCCEEDED", "FAILED")["state"] == "JOB_STATE_SUCCEEDED"
    assert fired(scripted) == [1]


def test_rules_choose_by_name_and_labels(scripted: Server, jobs: Any) -> None:
    rule = {"resource": "customJobs", "outcome": "fail"}
    script(scripted, {**rule, "labels": {"run": "doomed"}, "display_name": "^doo"})
    states = {}
    for name in ("doomed", "fine"):
        created = jobs.create_custom_job(parent=PARENT, custom_job=custom_job(pool("true"), name=name))
        states[name] = wait_until_ended(lambda name=created.name: jobs.get_custom_job(name=name)).state.name
    assert states == {"doomed": "JOB_STATE_FAILED", "fine": "JOB_STATE_SUCCEEDED"}


def test_a_spot_job_is_preempted_twice_and_goes_on(scripted: Server, tmp_path: Path) -> None:
    script(scripted, {"resource": "customJobs", "outcome": "preempt", "seconds": 0.1, "count": 2})
    runs, gate = tmp_path / "runs", tmp_path / "gate"
    runs.touch()
    last = f"until [ -e {gate} ]; do sleep 0.01; done"
    name = spot_job(
        scripted, "sh", "-c", f"echo $$ >> {runs}; case $PWD in */attempt-3/*) {last};; *) sleep 600;; esac"
    )
    wait_until(lambda: "attempt-3" in scripted.attempts(name))
    assert scripted.wait_for(name, "RUNNING")["startTime"] <= scripted.ok("GET", name)["updateTime"]
    gate.touch()
    assert scripted.wait_for(name, "SUCCEEDED", "FAILED")["state"] == "JOB_STATE_SUCCEEDED"
    assert scripted.attempts(name) == ["attempt-1", "attempt-2", "attempt-3"]
    assert not [pid for pid in map(int, runs.read_text().split()) if is_alive(pid)]


def test_only_spot_jobs_are_preempted(scripted: Server) -> None:
    script(scripted, {"resource": "customJobs", "outcome": "preempt"})
    name = scripted.custom_job("sleep", "0.3")
    assert scripted.wait_for(name, "SUCCEEDED", "FAILED")["state"] == "JOB_STATE_SUCCEEDED"
    assert scripted.attempts(name) == ["attempt-1"]


def test_a_job_is_started_again_six_times_and_not_without_retries(scripted: Server) -> None:
    script(scripted, {"resource": "customJobs", "outcome": "preempt", "count": 9})
    once = spot_job(scripted, "sleep", "600", disableRetries=True)
    often = spot_job(scripted, "sleep", "600")
    failed = scripted.wait_for(once, "FAILED")
    assert (failed["error"]["code"], scripted.attempts(once)) == (14, ["attempt-1"])
    assert "after 6 restarts" in scripted.wait_for(often, "FAILED")["error"]["message"]
    assert len(scripted.attempts(often)) == 7


def test_a_preemption_waits_for_a_checkpoint(scripted: Server) -> None:
    script(scripted, {"resource": "customJobs", "outcome": "preempt", "checkpoints": 1})
    scripted.bucket("checkpoints")
    # The first attempt leaves a checkpoint and waits; the second one finds it.
    save = (
        "import os, time, urllib.error, urllib.parse, urllib.request as web\n"
        "host, name = os.environ['STORAGE_EMULATOR_HOST'], os.environ['AIP_CHECKPOINT_DIR'][17:] + '1'\n"
        "try:\n"
        "    web.urlopen(f'{host}/storage/v1/b/checkpoints/o/' + urllib.parse.quote(name, safe=''))\n"
        "except urllib.error.HTTPError:\n"
        "    web.urlopen(f'{host}/upload/storage/v1/b/checkpoints/o?uploadType=media&name={name}', b'x')\n"
        "    time.sleep(600)\n"
    )
    output = {"outputUriPrefix": "gs://checkpoints/run"}
    name = scripted.custom_job("python3", "-c", save, scheduling={"strategy": "SPOT"}, baseOutputDirectory=output)
    assert scripted.wait_for(name, "SUCCEEDED", "FAILED")["state"] == "JOB_STATE_SUCCEEDED"
    assert scripted.attempts(name) == ["attempt-1", "attempt-2"]


def test_trials_and_the_job_behind_a_pipeline_are_preempted_too(scripted: Server) -> None:
    rule = {"resource": "customJobs", "outcome": "preempt", "seconds": 0.1}
    script(scripted, {**rule, "display_name": "^hp-trial-2$"}, {**rule, "display_name": "^tp-custom-job$"})
    first_waits = "case $PWD in */attempt-1/*) sleep 600;; esac"
    report = f'[ "$CLOUD_ML_TRIAL_ID" = 1 ] || {first_waits}; echo "{{\\"auc\\": 0.5}}" >> "$CLOUD_ML_HP_METRIC_FILE"'
    container = {"imageUri": "i", "command": ["sh", "-c", report]}
    pools = [{"machineSpec": {"machineType": "n1-standard-4"}, "replicaCount": 1, "containerSpec": container}]
    spec = {"workerPoolSpecs": pools, "scheduling": {"strategy": "SPOT"}}
    lr = {"parameterId": "lr", "doubleValueSpec": {"minValue": 0, "maxValue": 1}}
    study = {"metrics": [{"metricId": "auc"}], "parameters": [lr]}
    counts = {"maxTrialCount": 2, "parallelTrialCount": 2}
    body = {"displayName": "hp", "studySpec": study, "trialJobSpec": spec, **counts}
    tuning = scripted.ok("POST", f"{PARENT}/hyperparameterTuningJobs", body)["name"]
    trials = scripted.wait_for(tuning, "SUCCEEDED", "FAILED")["trials"]
    assert [trial["state"] for trial in trials] == ["SUCCEEDED", "SUCCEEDED"]
    assert [len(scripted.attempts(trial["customJob"])) for trial in trials] == [1, 2]
    task = "gs://google-cloud-aiplatform/schema/trainingjob/definition/custom_task_1.0.0.yaml"
    container["command"] = ["sh", "-c", first_waits]
    body = {"displayName": "tp", "trainingTaskDefinition": task, "trainingTaskInputs": spec}
    name = scripted.ok("POST", f"{PARENT}/trainingPipelines", body)["name"]
    done = scripted.wait_for(name, "SUCCEEDED", "FAILED")
    assert done["state"] == "PIPELINE_STATE_SUCCEEDED"
    assert len(scripted.attempts(done["trainingTaskMetadata"]["backingCustomJob"])) == 2


@pytest.mark.parametrize("whole", [False, True], ids=["worker only", "whole job"])
def test_one_preempted_worker_restarts_alone_unless_the_job_wants_otherwise(
    scripted: Server, jobs: Any, tmp_path: Path, whole: bool
) -> None:
    rule = {"resource": "customJobs", "outcome": "preempt", "replica": "workerpool1-0", "seconds": 0.6}
    script(scripted, rule)
    chiefs, again = tmp_path / "chiefs", tmp_path / "again"
    # What runs first may be preempted before its first word: only the later worker says something.
    is_later = "case $PWD in */attempt-2/*) ;; *) false;; esac" if whole else "grep -q preempted ../../log.jsonl"
    chief = pool("sh", "-c", f"echo $PWD >> {chiefs}; until [ -e {again} ]; do sleep 0.02; done")
    worker = pool("sh", "-c", f"if {is_later}; then touch {again}; fi; exec sleep 600")
    scheduling = v1.Scheduling(**SPOT, restart_job_on_worker_restart=whole)
    job = custom_job(chief, worker, scheduling=scheduling)
    name = jobs.create_custom_job(parent=PARENT, custom_job=job).name
    done = wait_until_ended(lambda: jobs.get_custom_job(name=name))
    assert done.state.name == "JOB_STATE_SUCCEEDED", done.error
    places = chiefs.read_text().split()
    assert places[-1].endswith("/attempt-2/work" if whole else "/attempt-1/work")
    assert whole or len(places) == 1
    assert len(scripted.attempts(name)) == (2 if whole else 1)
    assert whole or "preempted" in lines_by_task(scripted, name)["workerpool1-0"][-1]


def test_a_stock_out_fails_a_job_that_never_ran(scripted: Server) -> None:
    script(scripted, {"resource": "customJobs", "outcome": "stockout"})
    name = scripted.custom_job("true")
    failed = scripted.wait_for(name, "SUCCEEDED", "FAILED")
    assert failed["error"]["code"] == 8
    assert "Resources are insufficient in region: us-central1" in failed["error"]["message"]
    assert "startTime" not in failed
    assert scripted.attempts(name) == []


def test_a_stuck_job_is_pending_until_the_rules_are_cleared_or_it_is_cancelled(scripted: Server) -> None:
    script(scripted, {"resource": "customJobs", "outcome": "stuck"})
    first, second = scripted.custom_job("true"), scripted.custom_job("true")
    script(scripted)  # other rules; the jobs keep theirs
    assert scripted.wait_for(scripted.custom_job("true"), "SUCCEEDED")
    assert {scripted.ok("GET", name)["state"] for name in (first, second)} == {"JOB_STATE_PENDING"}
    scripted.ok("POST", f"{second}:cancel", {})
    scripted.wait_for(second, "CANCELLED")
    requests.delete(f"{scripted.url}/_emulator/outcomes", timeout=60)
    scripted.wait_for(first, "SUCCEEDED")


def test_training_pipelines_of_both_kinds_fail_as_asked(scripted: Server) -> None:
    rule = {"resource": "trainingPipelines", "outcome": "fail", "code": "UNAVAILABLE", "message": "try again"}
    script(scripted, {**rule, "seconds": 0.1})
    automl = scripted.train(scripted.dataset("b-scripted"), budget=1002)
    task = "gs://google-cloud-aiplatform/schema/trainingjob/definition/custom_task_1.0.0.yaml"
    container = {"imageUri": "i", "command": ["sleep", "600"]}
    workers = [{"machineSpec": {"machineType": "n1-standard-4"}, "replicaCount": 1, "containerSpec": container}]
    body = {"displayName": "t", "trainingTaskDefinition": task, "trainingTaskInputs": {"workerPoolSpecs": workers}}
    custom = scripted.ok("POST", f"{PARENT}/trainingPipelines", body)["name"]
    for name in (automl, custom):
        failed = scripted.wait_for(name, "SUCCEEDED", "FAILED")
        assert failed["error"] == {"code": 14, "message": "try again"}
    backing = scripted.ok("GET", custom)["trainingTaskMetadata"]["backingCustomJob"]
    scripted.wait_for(backing, "CANCELLED")


def test_an_import_loses_the_rows_that_were_named(scripted: Server) -> None:
    dataset = scripted.dataset("b-lost", items=2)
    for name in ("new-1", "new-2", "new-3"):
        scripted.put("b-lost", f"{name}.jpeg", b"\xff\xd8\xff" + name.encode())
    lines = "".join(f"gs://b-lost/new-{number}.jpeg,NORMAL\n" for number in (1, 2, 3))
    scripted.put("b-lost", "more.csv", lines.encode())
    rule = {"resource": "datasets", "outcome": "import-failures", "rows": ["new-[13]"], "message": "broken", "times": 1}
    script(scripted, rule)
    body = {"importConfigs": [{"gcsSource": {"uris": ["gs://b-lost/more.csv"]}, "importSchemaUri": IO_FORMAT}]}
    done = scripted.done(scripted.ok("POST", f"{dataset}:import", body))
    failures = done["metadata"]["genericMetadata"]["partialFailures"]
    assert [failure["message"] for failure in failures] == [
        "gs://b-lost/new-1.jpeg: broken",
        "gs://b-lost/new-3.jpeg: broken",
    ]
    assert scripted.ok("GET", dataset)["dataItemCount"] == "3"
    again = scripted.done(scripted.ok("POST", f"{dataset}:import", body))
    assert "partialFailures" not in again["metadata"]["genericMetadata"]
    script(scripted, {"resource": "datasets", "outcome": "fail", "code": "INTERNAL"})
    assert scripted.done(scripted.ok("POST", f"{dataset}:import", body))["error"]["code"] == 13


def test_rules_and_what_they_do_to_jobs_survive_a_restart(start: Start, tmp_path: Path) -> None:
    server, gate = start(), tmp_path / "gate"
    stuck = {"resource": "customJobs", "outcome": "stuck", "display_name": "^c$", "times": 1}
    preempt = {"resource": "customJobs", "outcome": "preempt", "seconds": 0.5, "count": 1}
    script(server, stuck, preempt)
    held = server.custom_job("true")
    last = f"until [ -e {gate} ]; do sleep 0.01; done"
    name = spot_job(server, "sh", "-c", f"case $PWD in */attempt-1/*) sleep 600;; *) {last};; esac")
    server.wait_for(name, "RUNNING")
    server.kill()
    gate.touch()
    again = start()
    assert again.wait_for(name, "SUCCEEDED", "FAILED")["state"] == "JOB_STATE_SUCCEEDED"
    assert (again.ok("GET", held)["state"], fired(again)) == ("JOB_STATE_PENDING", [1, 1])


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"resource": "customJobs"}, "outcome"),
        ({"outcome": "fail"}, "resource"),
        ({"resource": "models", "outcome": "fail"}, "models"),
        ({"resource": "datasets", "outcome": "preempt"}, "datasets can only"),
        ({"resource": "customJobs", "outcome": "fail", "count": 2}, "count"),
        ({"resource": "customJobs", "outcome": "fail", "colour": "red"}, "colour"),
        ({"resource": "customJobs", "outcome": "fail", "code": "OH"}, "OH"),
        ({"resource": "customJobs", "outcome": "fail", "seconds": -1}, "seconds"),
        ({"resource": "customJobs", "outcome": "fail", "times": 0}, "times"),
        ({"resource": "customJobs", "outcome": "fail", "display_name": "("}, "regular expression"),
        ({"resource": "customJobs", "outcome": "fail", "labels": {"a": 1}}, "labels"),
        ({"resource": "datasets", "outcome": "import-failures"}, "rows"),
    ],
)
def test_a_rule_that_cannot_be_understood_is_refused(rule: dict[str, Any], words: str) -> None:
    with pytest.raises(OutcomeError, match=words):
        rules_of({"rules": [rule]})


def test_the_command_sets_shows_and_clears_outcomes(scripted: Server, tmp_path: Path) -> None:
    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["outcomes", "--state", str(scripted.state), *arguments])

    document = tmp_path / "rules.json"
    document.write_text(json.dumps({"rules": [{"resource": "customJobs", "outcome": "stuck", "times": 3}]}))
    assert run("--file", str(document)).exit_code == 0
    shown = json.loads(run("--json").stdout)
    assert shown["rules"] == [{"resource": "customJobs", "outcome": "stuck", "times": 3, "fired": 0}]
    assert json.loads(run("--clear", "--json").stdout)["rules"] == []
    document.write_text('{"rules": [{"outcome": "explode"}]}')
    refused = run("--file", str(document))
    assert "explode" in str(refused.exception)
    assert requests.post(f"{scripted.url}/_emulator/outcomes", timeout=60).status_code == 405
    assert requests.put(f"{scripted.url}/_emulator/outcomes", data=b"{", timeout=60).status_code == 400


def test_quotas_are_refused_in_the_services_shape(start: Start) -> None:
    server = start(quota_automl_jobs=1, quota_operations_per_minute=6)
    dataset = server.dataset("b-quota")  # two submissions: creation and import
    first = server.train(dataset, budget=1002)
    second = server.call("POST", f"{PARENT}/trainingPipelines", server.pipeline(dataset))
    assert (second.status_code, second.json()["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert "quota metrics exceed quota limits: aiplatform.googleapis.com/" in second.json()["error"]["message"]
    server.ok("POST", f"{first}:cancel", {})
    server.wait_for(first, "CANCELLED")
    server.train(dataset, budget=1002)
    name = server.custom_job("true")
    refused = server.call("DELETE", name)
    error = refused.json()["error"]
    assert (refused.status_code, error["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert error["details"][0]["reason"] == "RATE_LIMIT_EXCEEDED"
    assert error["details"][0]["metadata"]["quota_limit_value"] == "6"
    assert server.ok("GET", name)["name"] == name  # reading costs nothing
    elsewhere = server.call("DELETE", name.replace("us-central1", "europe-west4"))
    assert elsewhere.status_code == 404  # each region has its own quota
