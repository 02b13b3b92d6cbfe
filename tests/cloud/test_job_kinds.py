"""What is read of the service's own messages, for each kind of job."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.cloud.aiplatform_v1 import types

from cxr.cloud.jobs.seen import Seen, Trial, best_first, launched_of
from cxr.cloud.plans.launch import JobKind
from cxr.cloud.prices.table import price_table
from cxr.cloud.vertex.job_kinds import KIND_OF, SERVICES, ResourceJobs, code_name
from cxr.cloud.vertex.job_names import hourly_price, worst_hours
from cxr.cloud.vertex.prices import GOOGLE

NAME = "projects/1/locations/us-central1"


def read(kind: JobKind, message: object) -> Seen:
    service = SERVICES[kind]
    assert isinstance(service, ResourceJobs)
    return service.seen(message)


def test_every_kind_has_a_service_and_every_collection_a_kind() -> None:
    assert set(SERVICES) == set(JobKind) == set(KIND_OF.values())


@pytest.mark.parametrize(
    ("kind", "state", "read_as"),
    [
        (JobKind.AUTOML, "PIPELINE_STATE_RUNNING", "RUNNING"),
        (JobKind.CUSTOM, "JOB_STATE_QUEUED", "QUEUED"),
        (JobKind.TUNE, "JOB_STATE_CANCELLED", "CANCELLED"),
        (JobKind.BATCH, "JOB_STATE_PARTIALLY_SUCCEEDED", "SUCCEEDED"),
    ],
)
def test_states_lose_their_prefix_and_a_partial_success_has_ended(kind: JobKind, state: str, read_as: str) -> None:
    message = {
        JobKind.AUTOML: types.TrainingPipeline,
        JobKind.CUSTOM: types.CustomJob,
        JobKind.TUNE: types.HyperparameterTuningJob,
        JobKind.BATCH: types.BatchPredictionJob,
    }[kind]
    assert read(kind, message(name=f"{NAME}/x/1", state=state)).state == read_as


def trial(number: int, state: str, loss: float) -> dict[str, Any]:
    end = {} if state == "ACTIVE" else {"endTime": "2026-11-21T12:30:00Z"}
    measured = {"finalMeasurement": {"metrics": [{"metricId": "loss", "value": loss}]}} if loss else {}
    parameters = [{"parameterId": "dropout", "value": number / 10}]
    started = {"startTime": "2026-11-21T12:00:00Z"}
    return {"id": str(number), "state": state, "parameters": parameters, **started, **end, **measured}


def test_a_tuning_job_tells_its_best_trial_by_its_own_goal() -> None:
    document = {
        "name": f"{NAME}/hyperparameterTuningJobs/1",
        "maxTrialCount": 5,
        "parallelTrialCount": 2,
        "studySpec": {"metrics": [{"metricId": "loss", "goal": "MINIMIZE"}]},
        "trialJobSpec": {"workerPoolSpecs": [{"machineSpec": {"machineType": "n1-standard-4"}}]},
        "trials": [
            trial(1, "SUCCEEDED", 0.4),
            trial(2, "SUCCEEDED", 0.3),
            trial(3, "INFEASIBLE", 0),
            trial(4, "ACTIVE", 0.1),
        ],
    }
    seen = read(JobKind.TUNE, types.HyperparameterTuningJob.from_json(json.dumps(document)))
    told = seen.progress
    assert (told["trials_done"], told["trials_failed"], told["trials_total"]) == (3, 1, 5)
    assert told["best"] == {"trial": "2", "metric": "loss", "value": 0.3, "parameters": {"dropout": 0.2}}
    assert (told["trial_hours"], told["running_since"]) == (1.5, ["2026-11-21T12:00:00+00:00"])
    assert (seen.details["trials"], seen.details["parallel"], seen.details["machine"]) == (5, 2, "n1-standard-4")


def test_a_job_without_anything_set_is_read_without_guesses() -> None:
    seen = read(JobKind.CUSTOM, types.CustomJob(name=f"{NAME}/customJobs/1", state="JOB_STATE_PENDING"))
    assert (seen.started, seen.ended, seen.error, seen.error_code, dict(seen.details)) == ("", "", "", "", {})


def pool(machine: str, replicas: int, *, gpus: int = 0, disk_gb: int = 0) -> dict[str, Any]:
    spec: dict[str, Any] = {"machineType": machine}
    if gpus:
        spec |= {"acceleratorType": "NVIDIA_TESLA_T4", "acceleratorCount": gpus}
    return {"machineSpec": spec, "replicaCount": replicas, "diskSpec": {"bootDiskSizeGb": disk_gb}}


@pytest.mark.parametrize(
    ("pools", "timeout", "details", "usd", "hours"),
    [
        (
            [pool("n1-standard-4", 1, gpus=1, disk_gb=730), pool("n1-standard-4", 3, gpus=1, disk_gb=200)],
            "7200s",
            {"machine": "n1-standard-4", "accelerator": "NVIDIA_TESLA_T4", "gpus": 1, "replicas": 4, "disk_gb": 730},
            4 * (0.2185 + 0.4025 + 0.1955),
            2,
        ),
        ([pool("n1-standard-4", 1)], "", {"machine": "n1-standard-4", "replicas": 1, "disk_gb": 100}, 0.2453, 168),
        (
            [pool("n1-standard-4", 1), pool("g2-standard-4", 2)],
            "",
            {"machines": "1 x n1-standard-4 + 2 x g2-standard-4", "disk_gb": 100},
            0,
            168,
        ),
        ([pool("n1-standard-4", 1), pool("n1-standard-4", 1, gpus=2)], "", {}, 0, 168),
    ],
    ids=["equal", "no timeout", "machines", "accelerators"],
)
def test_machines_are_priced_when_they_are_all_the_same(
    pools: list[dict[str, Any]], timeout: str, details: dict[str, Any], usd: float, hours: float
) -> None:
    spec = {"workerPoolSpecs": pools, "scheduling": {"timeout": timeout} if timeout else {}}
    seen = read(JobKind.CUSTOM, types.CustomJob.from_json(json.dumps({"jobSpec": spec})))
    assert details.items() <= seen.details.items()
    assert hourly_price(price_table(None, GOOGLE), JobKind.CUSTOM, seen.details) == pytest.approx(usd, abs=1e-4)
    assert worst_hours(JobKind.CUSTOM, seen.details) == hours
    assert worst_hours(JobKind.TUNE, {**seen.details, "trials": 3}) == 3 * hours


def test_codes_have_names() -> None:
    assert (code_name(8), code_name(4), code_name(99)) == ("RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "99")


def test_a_plan_is_the_job_at_work_else_the_one_that_succeeded() -> None:
    ended = [Seen("a", "FAILED"), Seen("b", "SUCCEEDED"), Seen("c", "CANCELLED")]
    assert launched_of([*ended, Seen("d", "RUNNING")]) == Seen("d", "RUNNING")
    assert launched_of(ended) == Seen("b", "SUCCEEDED")
    assert launched_of(ended[::2]) == Seen("a", "FAILED")
    assert launched_of([]) is None


def test_the_best_trial_is_first_and_one_that_measured_nothing_last() -> None:
    values = {"1": None, "2": 0.5, "10": 0.7, "9": 0.7}
    trials = [Trial(name, "SUCCEEDED", value, {}, 0, "", "") for name, value in values.items()]
    assert [trial.id for trial in best_first(trials)] == ["9", "10", "2", "1"]
