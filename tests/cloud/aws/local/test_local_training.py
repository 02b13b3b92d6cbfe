"""Training jobs of Amazon on this machine: they really run, in the tree under /opt/ml."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from amazon_here import BUCKET, Amazon, channel, training, wait_until

from cxr.cloud.aws.local import process
from cxr.errors import UsageError

ClientError = pytest.importorskip("botocore.exceptions", reason="boto3 is not installed").ClientError
SPOT = {
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 1200},
}


def secondary(job: dict[str, Any]) -> list[str]:
    return [transition["Status"] for transition in job["SecondaryStatusTransitions"]]


def test_a_job_runs_in_the_service_s_layout_and_leaves_its_model(amazon: Amazon, tmp_path: Path) -> None:
    amazon.put("data/a/1.txt", "1")
    amazon.put("data/b/2.txt", "2")
    channels = [channel("code", f"s3://{BUCKET}/code/"), channel("training", f"s3://{BUCKET}/data")]
    variables, seen = {"WHERE": "/opt/ml/model", "AWS_PROFILE": "mine"}, tmp_path / "seen"
    amazon.train("layout", InputDataConfig=channels, Environment=variables, parameters={"after": str(seen)})
    assert amazon.job("layout")["TrainingJobStatus"] == "InProgress"
    seen.touch()
    job = amazon.wait("layout")
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Completed"
    assert secondary(job) == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    base = str(amazon.state.resolve() / "jobs" / "layout" / "algo-1" / "opt" / "ml")
    assert amazon.said("layout", "arguments") == [f"--model={base}/model"]
    assert amazon.said("layout", "files") == ["code/tiny_training.py", "training/a/1.txt", "training/b/2.txt"]
    environment = amazon.said("layout", "environment")
    assert environment["SAGEMAKER_BASE_DIR"] == base
    assert environment["WHERE"] == f"{base}/model"
    assert environment["TRAINING_JOB_NAME"] == "layout"
    assert environment["TRAINING_JOB_ARN"] == job["TrainingJobArn"]
    assert environment["AWS_REGION"] == "eu-west-1"
    assert not [name for name in environment if name.startswith("SM_") or name == "TF_CONFIG"]
    resources = amazon.said("layout", "resources")
    assert (resources["current_host"], resources["hosts"]) == ("algo-1", ["algo-1"])
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{BUCKET}/out/layout/output/model.tar.gz"
    assert amazon.tar(job["ModelArtifacts"]["S3ModelArtifacts"]) == ["algo-1/model.txt", "half.txt"]
    assert amazon.keys("out/layout/") == ["out/layout/output/model.tar.gz"]


def test_the_description_is_the_request_s_and_its_metrics_are_the_last_printed(amazon: Amazon) -> None:
    amazon.train("metrics", "output", parameters={"rate": "0.8"}, Environment={"A": "b"})
    job = amazon.wait("metrics")
    assert job["AlgorithmSpecification"]["MetricDefinitions"] == [{"Name": "accuracy", "Regex": "accuracy=([0-9.]+)"}]
    assert [(one["MetricName"], round(one["Value"], 6)) for one in job["FinalMetricDataList"]] == [("accuracy", 0.8)]
    assert job["Environment"] == {"A": "b"}
    assert "FailureReason" not in job
    assert job["TrainingEndTime"] - job["TrainingStartTime"] <= timedelta(seconds=job["TrainingTimeInSeconds"])
    assert job["BillableTimeInSeconds"] == job["TrainingTimeInSeconds"] >= 1
    assert amazon.tar(f"s3://{BUCKET}/out/metrics/output/output.tar.gz") == ["curve.json"]


def test_a_failed_job_says_what_its_program_said(amazon: Amazon) -> None:
    amazon.train("dark", "fail")
    job = amazon.wait("dark")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: the images are too dark, exit code: 3"
    assert "ModelArtifacts" not in job
    assert amazon.keys("out/dark/") == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"InputDataConfig": [channel("code", f"s3://{BUCKET}/nothing/")]}, "No S3 objects found under S3 URL"),
        ({"InputDataConfig": [channel("code", "s3://no-such-bucket/x/")]}, "NoSuchBucket"),
        ({"CheckpointConfig": {"S3Uri": "s3://no-such-bucket/x"}}, "NoSuchBucket"),
        ({"InputDataConfig": [channel("code", f"s3://{BUCKET}/no.json", "ManifestFile")]}, "NoSuchKey (404)"),
        ({"OutputDataConfig": {"S3OutputPath": "s3://no-such-bucket/out"}}, "Artifact upload failed"),
        (
            {
                "AlgorithmSpecification": {
                    **training("x")["AlgorithmSpecification"],
                    "ContainerEntrypoint": ["no-such-program"],
                }
            },
            "exit code: 127",
        ),
        ({"AlgorithmSpecification": {"TrainingImage": "i", "TrainingInputMode": "File"}}, "images cannot be pulled"),
    ],
    ids=[
        "no objects",
        "no bucket",
        "no checkpoints",
        "no manifest",
        "no output bucket",
        "no program",
        "no entry point",
    ],
)
def test_what_cannot_be_done_fails_with_a_reason(
    amazon: Amazon, request: pytest.FixtureRequest, changes: dict[str, Any], reason: str
) -> None:
    name = "cannot-" + request.node.callspec.id.replace(" ", "-")
    amazon.train(name, **changes)
    job = amazon.wait(name)
    assert job["TrainingJobStatus"] == "Failed"
    assert reason in job["FailureReason"]


def test_a_manifest_file_names_the_objects_of_a_channel(amazon: Amazon) -> None:
    amazon.put("listed/x/1.txt", "1")
    amazon.put("listed/x/2.txt", "2")
    manifest = amazon.put("listed/some.manifest", json.dumps([{"prefix": f"s3://{BUCKET}/listed/"}, "x/2.txt"]))
    channels = [channel("code", f"s3://{BUCKET}/code/"), channel("some", manifest, "ManifestFile")]
    amazon.train("listed", InputDataConfig=channels)
    assert amazon.wait("listed")["TrainingJobStatus"] == "Completed"
    assert amazon.said("listed", "files") == ["code/tiny_training.py", "some/x/2.txt"]


def test_a_stopped_job_may_save_its_model_and_leaves_no_process(amazon: Amazon) -> None:
    amazon.train("endless", "endless")
    pids = amazon.waiting_pids("endless")
    amazon.client("sagemaker").stop_training_job(TrainingJobName="endless")
    assert amazon.job("endless")["TrainingJobStatus"] in {"Stopping", "Stopped"}
    job = amazon.wait("endless")
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Stopped"
    assert secondary(job)[-3:] == ["Stopping", "Uploading", "Stopped"]
    assert "asked to end" in amazon.lines("endless")
    assert amazon.tar(job["ModelArtifacts"]["S3ModelArtifacts"]) == ["half.txt", "saved.txt"]
    wait_until(lambda: [pid for pid in pids if psutil.pid_exists(pid)], lambda left: not left)
    with pytest.raises(ClientError, match="in status Stopped"):
        amazon.client("sagemaker").stop_training_job(TrainingJobName="endless")


@pytest.mark.slow
def test_a_job_that_takes_too_long_is_stopped_with_what_it_has(amazon: Amazon) -> None:
    amazon.train("long", "endless", StoppingCondition={"MaxRuntimeInSeconds": 8})
    job = amazon.wait("long")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert "saved.txt" in amazon.tar(job["ModelArtifacts"]["S3ModelArtifacts"])


def test_an_interrupted_spot_job_goes_on_from_its_checkpoints(amazon: Amazon) -> None:
    amazon.train("spot", "resume", CheckpointConfig={"S3Uri": f"s3://{BUCKET}/checkpoints/spot"}, **SPOT)
    amazon.waiting_pids("spot")
    rule = {"name": "^spot$", "outcome": "interrupt", "after_s": 0.1, "times": 1}
    process.change_outcomes(amazon.url, {"rules": [rule]})
    job = amazon.wait("spot")
    process.change_outcomes(amazon.url, {"rules": []})
    assert job["TrainingJobStatus"] == "Completed"
    again = ["Interrupted", "Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert secondary(job) == ["Starting", "Downloading", "Training", *again]
    said = [line for line in amazon.lines("spot") if line.startswith("epoch")]
    assert said == [
        "epoch 0 trained",
        "epoch 1 trained",
        "epoch 0 is there already",
        "epoch 1 is there already",
        "epoch 2 trained",
    ]
    kept = [key.rpartition("/")[2] for key in amazon.keys("checkpoints/spot/")]
    assert kept == ["epoch-0", "epoch-1", "epoch-2", "interrupted"]


def test_a_scripted_failure_comes_before_the_start(amazon: Amazon) -> None:
    reason = "CapacityError: Unable to provision requested ML compute capacity."
    process.change_outcomes(amazon.url, {"rules": [{"name": "^full$", "outcome": "fail", "reason": reason}]})
    amazon.train("full")
    job = amazon.wait("full")
    process.change_outcomes(amazon.url, {"rules": []})
    assert (job["TrainingJobStatus"], job["FailureReason"]) == ("Failed", reason)
    assert secondary(job) == ["Starting", "Failed"]
    assert "TrainingStartTime" not in job
    with pytest.raises(UsageError, match="no field seconds"):
        process.change_outcomes(amazon.url, {"rules": [{"outcome": "fail", "seconds": 1}]})


def test_two_hosts_find_each_other_on_this_machine(amazon: Amazon) -> None:
    resources = {"InstanceType": "ml.g5.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 30}
    amazon.train("two", ResourceConfig=resources)
    job = amazon.wait("two")
    configs = [json.loads(amazon.said("two", "environment", host)["TF_CONFIG"]) for host in ("algo-1", "algo-2")]
    assert [config["task"] for config in configs] == [{"type": "chief", "index": 0}, {"type": "worker", "index": 0}]
    assert configs[0]["cluster"] == configs[1]["cluster"]
    places = [*configs[0]["cluster"]["chief"], *configs[0]["cluster"]["worker"]]
    assert len(set(places)) == 2
    assert all(place.startswith("127.0.0.1:") for place in places)
    assert amazon.said("two", "resources", "algo-2")["hosts"] == ["algo-1", "algo-2"]
    names = amazon.tar(job["ModelArtifacts"]["S3ModelArtifacts"])
    assert names == ["algo-1/model.txt", "algo-2/model.txt", "half.txt"]
    amazon.train("two-fail", "fail-on-second-host", ResourceConfig=resources)
    assert amazon.wait("two-fail")["FailureReason"] == "AlgorithmError: the second host gave up, exit code: 4"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"EnableManagedSpotTraining": True}, "Invalid MaxWaitTimeInSeconds"),
        ({**SPOT, "StoppingCondition": {"MaxRuntimeInSeconds": 9, "MaxWaitTimeInSeconds": 8}}, "Invalid MaxWaitTime"),
        (
            {"ResourceConfig": {"InstanceType": "ml.p2.nano", "InstanceCount": 1, "VolumeSizeInGB": 1}},
            "Member must satisfy enum value set",
        ),
        ({"TrainingJobName": "under_score"}, "satisfy regular expression pattern"),
    ],
    ids=["no wait time", "short wait time", "unknown instance", "bad name"],
)
def test_requests_that_the_service_refuses_make_no_job(amazon: Amazon, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ClientError, match=words) as caught:
        amazon.client("sagemaker").create_training_job(**{**training("refused"), **changes})
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(ClientError, match=r"Requested resource not found\."):
        amazon.job("refused")


def test_a_name_is_used_once_and_an_unknown_one_cannot_be_stopped(amazon: Amazon) -> None:
    amazon.train("once")
    with pytest.raises(ClientError, match="already exists") as caught:
        amazon.train("once")
    assert caught.value.response["Error"]["Code"] == "ResourceInUse"
    with pytest.raises(ClientError, match=r"Requested resource not found\.") as caught:
        amazon.client("sagemaker").stop_training_job(TrainingJobName="never")
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert amazon.wait("once")["TrainingJobStatus"] == "Completed"


@pytest.mark.slow
def test_more_jobs_than_places_wait_and_can_be_stopped_unstarted(start: Callable[..., Amazon]) -> None:
    amazon = start(max_running_jobs=1)
    amazon.train("first", "endless")
    amazon.waiting_pids("first")
    amazon.train("second")
    status = process.server_status(amazon.url)
    assert status is not None
    assert (status["running_jobs"], status["waiting_jobs"]) == (1, 1)
    amazon.client("sagemaker").stop_training_job(TrainingJobName="second")
    job = wait_until(lambda: amazon.job("second"), lambda job: job["TrainingJobStatus"] == "Stopped")
    assert "TrainingStartTime" not in job
    assert amazon.job("first")["SecondaryStatus"] == "Training"


def test_a_channel_may_be_one_object_the_beginning_of_names_or_shared_out(amazon: Amazon) -> None:
    for name in ("part-1.csv", "part-2.csv", "part-3.csv", "other.csv"):
        amazon.put(f"table/{name}", name)
    shared = channel("shared", f"s3://{BUCKET}/table/")
    shared["DataSource"]["S3DataSource"]["S3DataDistributionType"] = "ShardedByS3Key"
    channels = [
        channel("code", f"s3://{BUCKET}/code/tiny_training.py"),
        channel("begun", f"s3://{BUCKET}/table/part"),
        shared,
    ]
    resources = {"InstanceType": "ml.g5.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 30}
    amazon.train("channels", InputDataConfig=channels, ResourceConfig=resources)
    assert amazon.wait("channels")["TrainingJobStatus"] == "Completed"
    begun = ["begun/part-1.csv", "begun/part-2.csv", "begun/part-3.csv", "code/tiny_training.py"]
    assert amazon.said("channels", "files") == [*begun, "shared/other.csv", "shared/part-2.csv"]
    assert amazon.said("channels", "files", "algo-2") == [*begun, "shared/part-1.csv", "shared/part-3.csv"]


def test_jobs_are_listed_by_status_and_keep_their_tags(amazon: Amazon) -> None:
    sagemaker = amazon.client("sagemaker")
    amazon.train("tagged", Tags=[{"Key": "cxr", "Value": "yes"}])
    job = amazon.wait("tagged")
    listed = sagemaker.list_training_jobs(NameContains="tagged", StatusEquals="Completed")["TrainingJobSummaries"]
    assert [one["TrainingJobName"] for one in listed] == ["tagged"]
    assert sagemaker.list_training_jobs(NameContains="tagged", StatusEquals="Failed")["TrainingJobSummaries"] == []
    assert sagemaker.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"] == [{"Key": "cxr", "Value": "yes"}]
