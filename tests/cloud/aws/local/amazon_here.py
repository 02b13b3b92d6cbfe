"""The local stand-in for Amazon as the tests speak to it: unmodified boto3 over loopback."""

from __future__ import annotations

import io
import json
import sys
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr.cloud.aws.local.settings import ACCOUNT

REGION = "eu-west-1"
BUCKET = "cxr-tests"
#: A role that needs not exist: nothing checks it.
ROLE = f"arn:aws:iam::{ACCOUNT}:role/cxr-local"
TINY_TRAINING = Path(__file__).with_name("tiny_training.py")
EMULATOR_TESTS = Path(__file__).parents[2] / "emulator"
#: Options of a server that trains nothing.
TINY = {
    "stand_in": f"{sys.executable} {EMULATOR_TESTS / 'tiny_stand_in.py'}",
    "scorer": f"{sys.executable} {EMULATOR_TESTS / 'tiny_scorer.py'}",
    "stop_grace_seconds": 60.0,
}
ENDED = ("Completed", "Failed", "Stopped")


@dataclass
class Amazon:
    """A running server."""

    state: Path
    url: str

    def client(self, service: str) -> Any:
        import boto3  # what is skipped without it imports this module all the same

        return boto3.client(
            service, region_name=REGION, endpoint_url=self.url, aws_access_key_id="test", aws_secret_access_key="test"
        )

    def put(self, key: str, content: bytes | str) -> str:
        data = content.encode() if isinstance(content, str) else content
        self.client("s3").put_object(Bucket=BUCKET, Key=key, Body=data)
        return f"s3://{BUCKET}/{key}"

    def get(self, key: str) -> bytes:
        return bytes(self.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read())

    def keys(self, prefix: str) -> list[str]:
        listed = self.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix)
        return [item["Key"] for item in listed.get("Contents", [])]

    def tar(self, uri: str) -> list[str]:
        with tarfile.open(fileobj=io.BytesIO(self.get(uri.removeprefix(f"s3://{BUCKET}/")))) as tar:
            return tar.getnames()

    def train(self, name: str, what: str = "train", **changes: Any) -> None:
        self.client("sagemaker").create_training_job(**training(name, what, **changes))

    def job(self, name: str) -> dict[str, Any]:
        return dict(self.client("sagemaker").describe_training_job(TrainingJobName=name))

    def wait(self, name: str) -> dict[str, Any]:
        return wait_until(lambda: self.job(name), lambda job: job["TrainingJobStatus"] in ENDED)

    def lines(self, name: str, host: str = "algo-1") -> list[str]:
        logs, group = self.client("logs"), "/aws/sagemaker/TrainingJobs"
        found = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        if not found:
            return []
        streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/{host}-")["logStreams"]
        return [
            event["message"]
            for stream in streams
            for event in logs.get_log_events(
                logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
            )["events"]
        ]

    def said(self, name: str, what: str, host: str = "algo-1") -> Any:
        """What the tiny program has printed as JSON after a word."""
        return next(json.loads(line[len(what) + 1 :]) for line in self.lines(name, host) if line.startswith(what + " "))

    def waiting_pids(self, name: str) -> list[int]:
        lines = wait_until(lambda: self.lines(name), lambda lines: any(line.startswith("waiting") for line in lines))
        line = next(line for line in reversed(lines) if line.startswith("waiting"))
        return [int(word) for word in line.split()[1:]]


def training(name: str, what: str = "train", **changes: Any) -> dict[str, Any]:
    """A request of CreateTrainingJob for the tiny program."""
    parameters = changes.pop("parameters", {})
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {
            "TrainingImage": "763104351884.dkr.ecr.eu-west-1.amazonaws.com/tensorflow-training:2.21",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python3", "/opt/ml/input/data/code/tiny_training.py"],
            "ContainerArguments": ["--model=/opt/ml/model"],
            "MetricDefinitions": [{"Name": "accuracy", "Regex": "accuracy=([0-9.]+)"}],
        },
        "HyperParameters": {"what": what, **parameters},
        "RoleArn": ROLE,
        "InputDataConfig": [channel("code", f"s3://{BUCKET}/code/")],
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
        "ResourceConfig": {"InstanceType": "ml.g5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        **changes,
    }


def channel(name: str, uri: str, data_type: str = "S3Prefix") -> dict[str, Any]:
    """One entry of InputDataConfig."""
    return {"ChannelName": name, "DataSource": {"S3DataSource": {"S3DataType": data_type, "S3Uri": uri}}}


def wait_until(look: Callable[[], Any], holds: Callable[[Any], bool], seconds: float = 300) -> Any:
    """What is seen once it holds."""
    deadline = time.monotonic() + seconds
    while not holds(seen := look()):
        assert time.monotonic() < deadline, f"still {seen}"
        time.sleep(0.03)
    return seen
