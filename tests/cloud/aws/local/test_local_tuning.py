"""Tuning jobs of Amazon on this machine: every trial is a training job that really runs."""

from __future__ import annotations

import io
import json
import random
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from amazon_here import BUCKET, ENDED, TINY_TRAINING, Amazon, training, wait_until

from cxr.cloud.aws.local import process
from cxr.cloud.aws.local.jobs.sampling import sample

ClientError = pytest.importorskip("botocore.exceptions", reason="boto3 is not installed").ClientError
RATE = {"Name": "rate", "MinValue": "0.01", "MaxValue": "0.9", "ScalingType": "Logarithmic"}


def tuning(
    name: str, amazon: Amazon, what: str = "train", trials: int = 3, parallel: int = 2, **parameters: str
) -> dict[str, Any]:
    """A request of CreateHyperParameterTuningJob: as the service has it, its jobs bring a script and no command."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        tar.add(TINY_TRAINING, arcname="tiny_training.py")
    archive = amazon.put("code/sourcedir.tar.gz", content.getvalue())
    request = training("x")
    kept = ("RoleArn", "InputDataConfig", "OutputDataConfig", "ResourceConfig", "StoppingCondition")
    algorithm = request["AlgorithmSpecification"]
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "accuracy"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": trials, "MaxParallelTrainingJobs": parallel},
            "ParameterRanges": {
                "ContinuousParameterRanges": [RATE],
                "IntegerParameterRanges": [{"Name": "units", "MinValue": "8", "MaxValue": "64"}],
                "CategoricalParameterRanges": [{"Name": "optimiser", "Values": ["adam", "sgd"]}],
            },
        },
        "TrainingJobDefinition": {
            **{key: request[key] for key in kept},
            "AlgorithmSpecification": {
                key: algorithm[key] for key in ("TrainingImage", "TrainingInputMode", "MetricDefinitions")
            },
            "StaticHyperParameters": {
                "what": what,
                **parameters,
                "sagemaker_program": json.dumps("tiny_training.py"),
                "sagemaker_submit_directory": json.dumps(archive),
            },
        },
    }


def test_a_tuning_finds_the_best_of_its_real_trials(amazon: Amazon, tmp_path: Path) -> None:
    sagemaker = amazon.client("sagemaker")
    tags, seen = [{"Key": "cxr", "Value": "yes"}], tmp_path / "seen"
    sagemaker.create_hyper_parameter_tuning_job(**tuning("tune", amazon, after=str(seen)), Tags=tags)

    def look() -> dict[str, Any]:
        return dict(sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="tune"))

    first = look()
    seen.touch()
    assert first["HyperParameterTuningJobStatus"] == "InProgress"
    assert "BestTrainingJob" not in first or first["BestTrainingJob"]["TrainingJobName"].startswith("tune-")
    job = wait_until(look, lambda job: job["HyperParameterTuningJobStatus"] in ENDED)
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert job["TrainingJobStatusCounters"] == {
        "Completed": 3,
        "InProgress": 0,
        "RetryableError": 0,
        "NonRetryableError": 0,
        "Stopped": 0,
    }
    assert job["ObjectiveStatusCounters"] == {"Succeeded": 3, "Pending": 0, "Failed": 0}
    listed = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName="tune", SortBy="FinalObjectiveMetricValue", SortOrder="Descending"
    )["TrainingJobSummaries"]
    rates = [float(one["TunedHyperParameters"]["rate"]) for one in listed]
    values = [one["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for one in listed]
    assert values == pytest.approx(rates)
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == 3
    best = job["BestTrainingJob"]
    assert best["TrainingJobName"] == listed[0]["TrainingJobName"]
    assert sorted(one["TrainingJobName"][:9] for one in listed) == ["tune-001-", "tune-002-", "tune-003-"]
    described = amazon.job(best["TrainingJobName"])
    assert described["TuningJobArn"] == job["HyperParameterTuningJobArn"]
    assert described["HyperParameters"]["_tuning_objective_metric"] == "accuracy"
    assert sagemaker.list_tags(ResourceArn=best["TrainingJobArn"])["Tags"] == tags
    arguments = amazon.said(best["TrainingJobName"], "arguments")
    assert dict(zip(arguments[::2], arguments[1::2], strict=True))["--units"] == best["TunedHyperParameters"]["units"]
    environment = amazon.said(best["TrainingJobName"], "environment")
    assert environment["SM_MODEL_DIR"].endswith("/opt/ml/model")
    assert "sagemaker_program" not in json.loads(environment["SM_HPS"])
    page = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(HyperParameterTuningJobName="tune", MaxResults=2)
    rest = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName="tune", MaxResults=2, NextToken=page["NextToken"]
    )
    assert [len(one["TrainingJobSummaries"]) for one in (page, rest)] == [2, 1]


def test_a_stopped_tuning_stops_its_trials(amazon: Amazon) -> None:
    sagemaker = amazon.client("sagemaker")
    sagemaker.create_hyper_parameter_tuning_job(**tuning("tune-stop", amazon, "endless", trials=5, parallel=1))

    def trials() -> list[dict[str, Any]]:
        name = "tune-stop"
        answer = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        return list(answer["TrainingJobSummaries"])

    amazon.waiting_pids(wait_until(trials, bool)[0]["TrainingJobName"])
    sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName="tune-stop")
    job = wait_until(
        lambda: sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="tune-stop"),
        lambda job: job["HyperParameterTuningJobStatus"] == "Stopped",
    )
    assert job["TrainingJobStatusCounters"]["Stopped"] == 1
    assert [trial["TrainingJobStatus"] for trial in trials()] == ["Stopped"]


def test_a_tuning_whose_trials_all_fail_fails(start: Callable[..., Amazon]) -> None:
    amazon = start()
    process.change_outcomes(amazon.url, {"rules": [{"name": "^bad-00", "outcome": "fail", "reason": "no capacity"}]})
    sagemaker = amazon.client("sagemaker")
    sagemaker.create_hyper_parameter_tuning_job(**tuning("bad", amazon, trials=2))
    job = wait_until(
        lambda: sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="bad"),
        lambda job: job["HyperParameterTuningJobStatus"] in ENDED,
    )
    assert job["HyperParameterTuningJobStatus"] == "Failed"
    assert "All training jobs failed" in job["FailureReason"]
    assert job["TrainingJobStatusCounters"]["NonRetryableError"] == 2


def test_a_tuning_without_its_metric_or_with_a_long_name_is_refused(amazon: Amazon) -> None:
    request = tuning("no-metric", amazon)
    request["TrainingJobDefinition"]["AlgorithmSpecification"]["MetricDefinitions"] = []
    with pytest.raises(ClientError, match="not in the training job's metric definitions"):
        amazon.client("sagemaker").create_hyper_parameter_tuning_job(**request)
    with pytest.raises(ClientError, match="hyperParameterTuningJobName"):
        amazon.client("sagemaker").create_hyper_parameter_tuning_job(**tuning("n" * 33, amazon))


def test_a_script_s_archive_that_is_not_there_fails_the_trial(amazon: Amazon) -> None:
    request = training("no-archive")
    del (
        request["AlgorithmSpecification"]["ContainerEntrypoint"],
        request["AlgorithmSpecification"]["ContainerArguments"],
    )
    request["HyperParameters"] = {
        "sagemaker_program": "train.py",
        "sagemaker_submit_directory": f"s3://{BUCKET}/none.tar.gz",
    }
    amazon.client("sagemaker").create_training_job(**request)
    assert "NoSuchKey (404)" in amazon.wait("no-archive")["FailureReason"]


def test_drawn_parameters_lie_in_their_ranges_and_repeat_with_the_seed() -> None:
    ranges = {
        "ContinuousParameterRanges": [RATE, {**RATE, "Name": "late", "ScalingType": "ReverseLogarithmic"}],
        "IntegerParameterRanges": [{"Name": "n", "MinValue": "1", "MaxValue": "3"}],
        "CategoricalParameterRanges": [{"Name": "c", "Values": ["x", "y"]}],
    }
    drawn = [sample(ranges, random.Random(seed)) for seed in range(200)]
    assert drawn == [sample(ranges, random.Random(seed)) for seed in range(200)]
    assert all(0.01 <= float(one[name]) <= 0.9 for one in drawn for name in ("rate", "late"))
    assert {one["n"] for one in drawn} == {"1", "2", "3"}
    assert {one["c"] for one in drawn} == {"x", "y"}
    # Logarithmic: the middle of the draws is near the geometric mean of the limits.
    middle = sorted(float(one["rate"]) for one in drawn)[100]
    assert 0.05 < middle < 0.18
    with pytest.raises(ValueError, match="above"):
        sample({"IntegerParameterRanges": [{"Name": "n", "MinValue": "3", "MaxValue": "1"}]}, random.Random(0))
