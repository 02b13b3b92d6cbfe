"""AutoML and batch transform of Amazon on this machine, with a stand-in that trains nothing and scores by bytes."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from amazon_here import BUCKET, ENDED, REGION, ROLE, Amazon, wait_until

from cxr.cloud.aws.local import process

ClientError = pytest.importorskip("botocore.exceptions", reason="boto3 is not installed").ClientError
#: The tiny scorer's score of the last class is the share of `#`.
NORMAL, PNEUMONIA = b"...#", b".###"


def folders(amazon: Amazon, prefix: str, wrong: int = 0) -> str:
    """Ten images of each class below a prefix; of the second class so many look like the first."""
    for number in range(10):
        amazon.put(f"{prefix}/NORMAL/{number}.jpeg", NORMAL)
        amazon.put(f"{prefix}/PNEUMONIA/{number}.png", NORMAL if number < wrong else PNEUMONIA)
    amazon.put(f"{prefix}/notes.txt", "no image")
    return f"s3://{BUCKET}/{prefix}/"


def channel(uri: str, data_type: str = "S3Prefix", kind: str = "training") -> dict[str, Any]:
    source = {"S3DataSource": {"S3DataType": data_type, "S3Uri": uri}}
    return {"ChannelType": kind, "ContentType": "image/*", "DataSource": source}


def automl(amazon: Amazon, name: str, *channels: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The ended job."""
    sagemaker = amazon.client("sagemaker")
    request = {
        "AutoMLJobName": name,
        "AutoMLJobInputDataConfig": list(channels),
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/automl"},
        "AutoMLProblemTypeConfig": {"ImageClassificationJobConfig": {}},
        "RoleArn": ROLE,
        **changes,
    }
    sagemaker.create_auto_ml_job_v2(**request)
    begun = sagemaker.describe_auto_ml_job_v2(AutoMLJobName=name)
    assert begun["AutoMLJobStatus"] == "InProgress" or begun["AutoMLJobStatus"] in ENDED
    assert "BestCandidate" not in begun or begun["AutoMLJobStatus"] == "Completed"
    return dict(
        wait_until(
            lambda: sagemaker.describe_auto_ml_job_v2(AutoMLJobName=name), lambda job: job["AutoMLJobStatus"] in ENDED
        )
    )


def transform(
    amazon: Amazon, name: str, source: dict[str, Any], model: str = "stand-in", **changes: Any
) -> dict[str, Any]:
    """The ended job."""
    sagemaker = amazon.client("sagemaker")
    sagemaker.create_transform_job(
        TransformJobName=name,
        ModelName=model,
        TransformInput={"DataSource": {"S3DataSource": source}, "ContentType": "image/jpeg", "SplitType": "None"},
        TransformOutput={"S3OutputPath": f"s3://{BUCKET}/scored/{name}", **changes.pop("output", {})},
        TransformResources={"InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
        **changes,
    )
    return dict(
        wait_until(
            lambda: sagemaker.describe_transform_job(TransformJobName=name),
            lambda job: job["TransformJobStatus"] in ENDED,
        )
    )


@pytest.fixture(scope="module")
def model(amazon: Amazon) -> str:
    """A model made of the candidate of an AutoML job."""
    job = automl(amazon, "for-model", channel(folders(amazon, "for-model")))
    containers = job["BestCandidate"]["InferenceContainers"]
    amazon.client("sagemaker").create_model(ModelName="stand-in", Containers=containers, ExecutionRoleArn=ROLE)
    return "stand-in"


def test_folders_are_classes_and_the_accuracy_is_that_of_the_validation_images(amazon: Amazon) -> None:
    validation = folders(amazon, "validation", wrong=3)
    job = automl(amazon, "images", channel(folders(amazon, "training")), channel(validation, kind="validation"))
    assert (job["AutoMLJobStatus"], job["AutoMLJobSecondaryStatus"]) == ("Completed", "Completed")
    assert "FailureReason" not in job
    best = job["BestCandidate"]
    assert best["CandidateName"] == "cxr-stand-in-images"
    assert best["FinalAutoMLJobObjectiveMetric"]["MetricName"] == "Accuracy"
    assert best["FinalAutoMLJobObjectiveMetric"]["Value"] == pytest.approx(17 / 20)
    (container,) = best["InferenceContainers"]
    assert f"dkr.ecr.{REGION}.amazonaws.com/cxr-stand-in:" in container["Image"]
    assert "not by Amazon" in container["Environment"]["CXR_STAND_IN"]
    assert amazon.tar(container["ModelDataUrl"]) == ["README.txt", "labels.json"]
    listed = amazon.client("sagemaker").list_candidates_for_auto_ml_job(AutoMLJobName="images")["Candidates"]
    assert [one["CandidateName"] for one in listed] == ["cxr-stand-in-images"]
    items = (amazon.state / "automl-jobs" / "images" / "items.jsonl").read_text().splitlines()
    assert sorted({(json.loads(line)["ml_use"], json.loads(line)["label"]) for line in items}) == [
        ("training", "NORMAL"),
        ("training", "PNEUMONIA"),
        ("validation", "NORMAL"),
        ("validation", "PNEUMONIA"),
    ]


def test_an_augmented_manifest_names_images_with_their_classes(amazon: Amazon) -> None:
    lines = []
    for number in range(10):
        content, label = (NORMAL, "cat") if number % 2 else (PNEUMONIA, "dog")
        uri = amazon.put(f"flat/{number}.png", content)
        lines.append(json.dumps({"source-ref": uri, "label-metadata": {"class-name": label}}))
    manifest = amazon.put("flat.manifest", "\n".join(lines))
    split = {"ValidationFraction": 0.4}
    job = automl(amazon, "augmented", channel(manifest, "AugmentedManifestFile"), DataSplitConfig=split)
    assert job["AutoMLJobStatus"] == "Completed"
    assert job["BestCandidate"]["FinalAutoMLJobObjectiveMetric"]["Value"] == 1.0
    items = [
        json.loads(line)
        for line in (amazon.state / "automl-jobs" / "augmented" / "items.jsonl").read_text().splitlines()
    ]
    validation = sorted(item["label"] for item in items if item["ml_use"] == "validation")
    assert validation == ["cat", "cat", "dog", "dog"]


def test_images_without_two_classes_fail_the_job(amazon: Amazon) -> None:
    amazon.put("one/NORMAL/1.png", NORMAL)
    job = automl(amazon, "one-class", channel(f"s3://{BUCKET}/one/"))
    assert job["AutoMLJobStatus"] == "Failed"
    assert "two classes are needed" in job["FailureReason"]
    amazon.put("bare/1.png", NORMAL)
    assert "lies in no folder" in automl(amazon, "bare", channel(f"s3://{BUCKET}/bare/"))["FailureReason"]


def _sleeps(process: psutil.Process) -> bool:
    try:
        return "time.sleep(600)" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def test_a_stopped_automl_job_ends_its_program(start: Callable[..., Amazon]) -> None:
    amazon = start(stand_in=f"{sys.executable} -c 'import time; time.sleep(600)'")
    sagemaker = amazon.client("sagemaker")
    sagemaker.create_auto_ml_job_v2(
        AutoMLJobName="slow",
        AutoMLJobInputDataConfig=[channel(folders(amazon, "slow"))],
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/automl"},
        AutoMLProblemTypeConfig={"ImageClassificationJobConfig": {}},
        RoleArn=ROLE,
    )
    server = psutil.Process((process.server_status(amazon.url) or {})["pid"])
    program = wait_until(lambda: [child for child in server.children(recursive=True) if _sleeps(child)], bool)
    assert sagemaker.describe_auto_ml_job_v2(AutoMLJobName="slow")["AutoMLJobSecondaryStatus"] == "TrainingModels"
    sagemaker.stop_auto_ml_job(AutoMLJobName="slow")
    job = wait_until(
        lambda: sagemaker.describe_auto_ml_job_v2(AutoMLJobName="slow"),
        lambda job: job["AutoMLJobStatus"] in ENDED,
    )
    assert (job["AutoMLJobStatus"], job["AutoMLJobSecondaryStatus"]) == ("Stopped", "Stopped")
    assert "BestCandidate" not in job
    wait_until(lambda: [one for one in program if _sleeps(one)], lambda left: not left)


def test_a_transform_scores_every_image_below_a_prefix(amazon: Amazon, model: str) -> None:
    amazon.put("to-score/a/1.jpeg", NORMAL)
    amazon.put("to-score/2.jpeg", PNEUMONIA)
    keys = {"SAGEMAKER_INFERENCE_OUTPUT": "predicted_label,probability,probabilities,labels"}
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/to-score/"}
    job = transform(amazon, "prefix", source, Environment=keys)
    assert job["TransformJobStatus"] == "Completed"
    assert amazon.keys("scored/prefix/") == ["scored/prefix/2.jpeg.out", "scored/prefix/a/1.jpeg.out"]
    labels = ["NORMAL", "PNEUMONIA"]
    answers = [json.loads(amazon.get(f"scored/prefix/{name}.out"))["predictions"] for name in ("2.jpeg", "a/1.jpeg")]
    assert answers == [
        [{"predicted_label": "PNEUMONIA", "probability": 0.75, "probabilities": [0.25, 0.75], "labels": labels}],
        [{"predicted_label": "NORMAL", "probability": 0.75, "probabilities": [0.75, 0.25], "labels": labels}],
    ]


def test_a_transform_takes_a_manifest_and_writes_csv(amazon: Amazon, model: str) -> None:
    amazon.put("rows/1.jpeg", NORMAL)
    amazon.put("rows/2.jpeg", PNEUMONIA)
    manifest = amazon.put("rows.json", json.dumps([{"prefix": f"s3://{BUCKET}/rows/"}, "2.jpeg"]))
    source = {"S3DataType": "ManifestFile", "S3Uri": manifest}
    keys = {"SAGEMAKER_INFERENCE_OUTPUT": "predicted_label,probabilities"}
    transform(amazon, "manifest", source, output={"Accept": "text/csv"}, Environment=keys)
    assert amazon.keys("scored/manifest/") == ["scored/manifest/2.jpeg.out"]
    text = amazon.get("scored/manifest/2.jpeg.out").decode()
    assert list(csv.reader(text.splitlines())) == [["PNEUMONIA", "[0.25, 0.75]"]]


def test_an_image_that_cannot_be_read_fails_the_transform_but_not_the_others(amazon: Amazon, model: str) -> None:
    amazon.put("mixed/1.jpeg", NORMAL)
    amazon.put("mixed/2.jpeg", b"broken")
    job = transform(amazon, "mixed", {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/mixed/"})
    assert (job["TransformJobStatus"], job["FailureReason"]) == (
        "Failed",
        "ClientError: See job logs for more information",
    )
    assert amazon.keys("scored/mixed/") == ["scored/mixed/1.jpeg.out"]


def test_a_transform_of_what_is_not_there_is_refused(amazon: Amazon, model: str) -> None:
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/to-score/"}
    with pytest.raises(ClientError, match="already exists"):
        for _ in range(2):
            transform(amazon, "twice", source)
    with pytest.raises(ClientError, match=r"Requested resource not found\."):
        amazon.client("sagemaker").stop_transform_job(TransformJobName="never")
    other = {"Image": "x/y:1", "ModelDataUrl": "s3://b/m"}
    amazon.client("sagemaker").create_model(ModelName="other", PrimaryContainer=other, ExecutionRoleArn=ROLE)
    assert "images cannot be pulled" in transform(amazon, "other", source, "other")["FailureReason"]
    with pytest.raises(ClientError, match="Could not find model"):
        amazon.client("sagemaker").create_transform_job(
            TransformJobName="no-model",
            ModelName="none",
            TransformInput={"DataSource": {"S3DataSource": source}},
            TransformOutput={"S3OutputPath": f"s3://{BUCKET}/x"},
            TransformResources={"InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
        )
