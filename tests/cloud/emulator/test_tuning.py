"""Hyperparameter tuning: trials that really run, their measurements, and what the service refuses."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from emulator_server import Server, Start, wait_until
from google.cloud import aiplatform
from google.cloud import aiplatform_v1 as v1
from google.cloud import logging as cloud_logging
from google.cloud.aiplatform import hyperparameter_tuning as hpt
from google.protobuf import json_format
from sdk import IMAGE, PARENT, client, init, wait_until_ended

#: Reports what cloudml-hypertune would: the trial's own number of points, twice, the second time worse.
REPORT = (
    "for arg; do case $arg in --lr=*) lr=${arg#*=};; esac; done;"
    ' say() { echo "{\\"timestamp\\": $(date +%s), \\"trial\\": \\"$CLOUD_ML_TRIAL_ID\\", \\"auc\\": \\"$1\\",'
    ' \\"global_step\\": \\"$2\\", \\"checkpoint_path\\": \\"\\"}" >> "$CLOUD_ML_HP_METRIC_FILE"; };'
    ' say "0.$CLOUD_ML_TRIAL_ID" 1; say "0.0$CLOUD_ML_TRIAL_ID" 2; echo "torn'
)
GOOD = ["sh", "-c", REPORT + ' line" >> "$CLOUD_ML_HP_METRIC_FILE"; echo "$AIP_MODEL_DIR $@"', "sh"]


@pytest.fixture(scope="module")
def jobs(server: Server) -> Any:
    return client(v1.JobServiceClient, server.url)


def tuning(*command: str, most: int = 3, parallel: int = 2, failed: int = 0, **study: Any) -> dict[str, Any]:
    """The body of a tuning job, as JSON."""
    container = {"imageUri": IMAGE, "command": list(command)}
    machine = {"machineType": "n1-standard-4"}
    trial = {"workerPoolSpecs": [{"machineSpec": machine, "replicaCount": "1", "containerSpec": container}]}
    lr = {"parameterId": "lr", "doubleValueSpec": {"minValue": 0.001, "maxValue": 1}, "scaleType": "UNIT_LOG_SCALE"}
    spec = {"metrics": [{"metricId": "auc", "goal": "MAXIMIZE"}], "parameters": [lr], **study}
    return {
        "displayName": "t",
        "studySpec": spec,
        "maxTrialCount": most,
        "parallelTrialCount": parallel,
        "maxFailedTrialCount": failed,
        "trialJobSpec": trial,
    }


def create(server: Server, body: dict[str, Any]) -> str:
    return str(server.ok("POST", f"{PARENT}/hyperparameterTuningJobs", body)["name"])


def ended(server: Server, body: dict[str, Any]) -> dict[str, Any]:
    return server.wait_for(create(server, body), "SUCCEEDED", "FAILED", "CANCELLED")


def test_trials_run_with_their_parameters_and_report_their_best(server: Server, jobs: Any) -> None:
    server.bucket("tuned")
    body = tuning(*GOOD, measurementSelectionType="BEST_MEASUREMENT")
    body["trialJobSpec"]["baseOutputDirectory"] = {"outputUriPrefix": "gs://tuned/run"}
    body["studySpec"]["parameters"] += [
        {"parameterId": "batch", "discreteValueSpec": {"values": [0.5, 16, 32]}},
        {"parameterId": "units", "integerValueSpec": {"minValue": 1, "maxValue": 9}},
        {"parameterId": "optimizer", "categoricalValueSpec": {"values": ["adam", "sgd"]}},
    ]
    wanted = json_format.ParseDict(body, v1.HyperparameterTuningJob.pb(v1.HyperparameterTuningJob()))
    name = jobs.create_hyperparameter_tuning_job(parent=PARENT, hyperparameter_tuning_job=wanted).name
    done = wait_until_ended(lambda: jobs.get_hyperparameter_tuning_job(name=name))
    assert done.state.name == "JOB_STATE_SUCCEEDED", done.error
    assert done.create_time <= done.start_time <= done.end_time
    assert [trial.id for trial in done.trials] == ["1", "2", "3"]
    for trial in done.trials:
        assert trial.state.name == "SUCCEEDED"
        assert trial.start_time <= trial.end_time
        assert [parameter.parameter_id for parameter in trial.parameters] == ["lr", "batch", "units", "optimizer"]
        (metric,) = trial.final_measurement.metrics
        assert (metric.metric_id, metric.value) == ("auc", float(f"0.{trial.id}"))
        assert trial.final_measurement.step_count == 1
        assert len(trial.measurements) == 2
        job = jobs.get_custom_job(name=trial.custom_job)
        assert job.job_spec.base_output_directory.output_uri_prefix == f"gs://tuned/run/{trial.id}"
        values = {parameter.parameter_id: parameter.value for parameter in trial.parameters}
        (line,) = trial_lines(server, name, trial.id)
        directory, *arguments = line.split()
        assert directory == f"gs://tuned/run/{trial.id}/model/"
        given = dict(argument.removeprefix("--").split("=") for argument in arguments)
        assert 0.001 <= float(given["lr"]) == values["lr"] <= 1
        assert given["batch"] in {"0.5", "16", "32"}
        assert int(given["units"]) == values["units"]
        assert given["optimizer"] == values["optimizer"]
    assert len({trial.parameters[0].value for trial in done.trials}) == 3
    jobs.delete_hyperparameter_tuning_job(name=name).result(90)
    assert name not in {job.name for job in jobs.list_hyperparameter_tuning_jobs(parent=PARENT)}


def trial_lines(server: Server, name: str, trial: str) -> list[str]:
    from google.auth.credentials import AnonymousCredentials

    options = {"api_endpoint": server.url}
    reader = cloud_logging.Client(
        project="p", credentials=AnonymousCredentials(), client_options=options, _use_grpc=False
    )
    chosen = f'resource.labels.job_id="{name.rpartition("/")[2]}" AND labels."ml.googleapis.com/trial_id"="{trial}"'
    return [entry.payload["message"] for entry in reader.list_entries(filter_=chosen)]


def test_the_high_level_class_finds_its_trials(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
    server.bucket("tuned")
    init(server.url, "tuned")
    machine = {"machine_type": "n1-standard-4"}
    workers = [{"machine_spec": machine, "replica_count": 1, "container_spec": {"image_uri": IMAGE, "command": GOOD}}]
    job = aiplatform.HyperparameterTuningJob(
        display_name="high",
        custom_job=aiplatform.CustomJob(display_name="trial", worker_pool_specs=workers),
        metric_spec={"auc": "maximize"},
        parameter_spec={
            "lr": hpt.DoubleParameterSpec(min=0.001, max=1, scale="log"),
            "batch": hpt.DiscreteParameterSpec(values=[16, 32], scale=None),
        },
        max_trial_count=2,
        parallel_trial_count=2,
        search_algorithm="random",
        measurement_selection="last",
    )
    job.run(sync=False)
    job.wait_for_resource_creation()
    name = job.resource_name
    again = wait_until_ended(lambda: aiplatform.HyperparameterTuningJob.get(name))
    assert again.state.name == "JOB_STATE_SUCCEEDED", again.error
    assert [trial.final_measurement.metrics[0].value for trial in again.trials] == [0.01, 0.02]
    assert name in {found.resource_name for found in aiplatform.HyperparameterTuningJob.list()}


def test_a_grid_ends_when_all_its_points_are_tried(server: Server) -> None:
    on = [{"parameterId": "on", "categoricalValueSpec": {"values": ["yes", "no"]}}]
    done = ended(server, tuning(*GOOD, most=5, algorithm="GRID_SEARCH", parameters=on))
    assert done["state"] == "JOB_STATE_SUCCEEDED"
    assert [trial["parameters"][0]["value"] for trial in done["trials"]] == ["yes", "no"]


def test_no_more_trials_run_at_once_than_in_parallel(server: Server, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    name = create(
        server, tuning("sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.01; done; {GOOD[2]}", "sh", parallel=1)
    )
    job = server.wait_for(name, "RUNNING")
    assert [trial["state"] for trial in job["trials"]] == ["ACTIVE"]
    gate.touch()
    assert len(server.wait_for(name, "SUCCEEDED")["trials"]) == 3


def test_a_trial_without_a_measurement_is_infeasible(server: Server) -> None:
    # The first trial measures, so that the second one's failure is not the job's.
    command = ["sh", "-c", f"test $CLOUD_ML_TRIAL_ID = 2 || {{ {GOOD[2]}; }}", "sh"]
    done = ended(server, tuning(*command, parallel=1))
    assert done["state"] == "JOB_STATE_SUCCEEDED"
    assert [trial["state"] for trial in done["trials"]] == ["SUCCEEDED", "INFEASIBLE", "SUCCEEDED"]
    assert "no measurement of 'auc'" in done["trials"][1]["infeasibleReason"]


@pytest.mark.parametrize(
    ("allowed", "expected", "words"),
    [
        (0, 1, "Failed before any other successful trials"),
        (2, 2, "2 trials have failed"),
        (3, 3, "3 trials have failed"),
    ],
)
def test_failed_trials_fail_the_job(server: Server, allowed: int, expected: int, words: str) -> None:
    done = ended(server, tuning("sh", "-c", "echo diverged >&2; exit 3", parallel=1, failed=allowed))
    assert done["state"] == "JOB_STATE_FAILED"
    assert [trial["state"] for trial in done["trials"]] == ["INFEASIBLE"] * expected
    assert words in done["error"]["message"]
    assert "diverged" in done["error"]["message"]


def test_cancelling_ends_the_trials(server: Server, jobs: Any) -> None:
    name = create(server, tuning("sleep", "600"))
    server.wait_for(name, "RUNNING")
    jobs.cancel_hyperparameter_tuning_job(name=name)
    done = server.wait_for(name, "CANCELLED")
    assert (done["error"]["code"], len(done["trials"])) == (1, 2)
    assert {trial["state"] for trial in done["trials"]} == {"INFEASIBLE"}
    for trial in done["trials"]:
        assert server.ok("GET", trial["customJob"])["state"] == "JOB_STATE_CANCELLED"
    for method, path in (("POST", f"{name}:cancel"), ("GET", f"{name}x")):
        assert server.call(method, path, {}).status_code in {400, 404}


def test_a_tuning_goes_on_after_kill_9(start: Start, tmp_path: Path) -> None:
    server, gate = start(), tmp_path / "gate"
    name = create(server, tuning("sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.01; done; {GOOD[2]}", "sh"))
    wait_until(lambda: [t["state"] for t in server.ok("GET", name).get("trials", [])] == ["ACTIVE", "ACTIVE"])
    first = server.ok("GET", name)["trials"][0]["parameters"]
    server.kill()
    gate.touch()
    again = start()
    done = again.wait_for(name, "SUCCEEDED", "FAILED")
    assert done["state"] == "JOB_STATE_SUCCEEDED", done
    assert [trial["state"] for trial in done["trials"]] == ["SUCCEEDED"] * 3
    assert done["trials"][0]["parameters"] == first
    assert again.attempts(done["trials"][0]["customJob"]) == ["attempt-1"]


def changed(path: str, value: Any) -> dict[str, Any]:
    """A tuning job's body with another value at a path like `studySpec/metrics`; None takes it away."""
    body = copy.deepcopy(tuning("true"))
    *folders, last = path.split("/")
    inner: Any = body
    for part in folders:
        inner = inner[part]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return body


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("displayName", "", "display_name"),
        ("labels", {"Team": "x"}, "Label key"),
        ("colour", "red", "colour"),
        ("studySpec", None, "study_spec"),
        ("studySpec/parameters", [], "parameters"),
        ("studySpec/colour", "red", "colour"),
        ("maxTrialCount", 0, "max_trial_count"),
        ("maxTrialCount", 1001, "1000"),
        ("parallelTrialCount", 4, "parallel_trial_count"),
        ("maxFailedTrialCount", 4, "max_failed_trial_count"),
        ("trialJobSpec", None, "trial_job_spec"),
        ("trialJobSpec/workerPoolSpecs", [{"replicaCount": 2}], "replica_count"),
        ("studySpec/algorithm", "BAYES", "BAYES"),
        ("studySpec/algorithm", "GRID_SEARCH", "GRID_SEARCH"),
        ("studySpec/observationNoise", "HIGH", "observation_noise"),
    ],
)
def test_a_bad_tuning_job_is_refused(server: Server, path: str, value: Any, words: str) -> None:
    answer = server.call("POST", f"{PARENT}/hyperparameterTuningJobs", changed(path, value))
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT"), answer.text
    assert words in answer.json()["error"]["message"]
