"""The real programs that stand in for Autopilot, behind the local server: trained on images, and scored in batch."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import numpy as np
import pytest
from amazon_here import BUCKET, ENDED, ROLE, Amazon, wait_until
from PIL import Image

LABELS = ("NORMAL", "PNEUMONIA")


def jpeg(number: int, is_bright: bool) -> bytes:
    """A dark noisy square, or one with a bright half."""
    pixels = np.random.default_rng(number).normal(60, 12, (96, 96))
    if is_bright:
        pixels[:, :48] += 130
    buffer = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@pytest.mark.slow
def test_a_model_of_the_real_stand_in_is_scored_by_batch_transform(start: Callable[..., Amazon]) -> None:
    pytest.importorskip("tensorflow", reason='needs the extra: pip install "cxr[train]"')
    amazon = start(stand_in=None, scorer=None, stand_in_epochs=1)
    for number in range(24):
        amazon.put(f"xrays/{LABELS[number % 2]}/{number}.jpeg", jpeg(number, bool(number % 2)))
    amazon.put("new/a.jpeg", jpeg(100, True))
    amazon.put("new/b.jpeg", jpeg(101, False))
    sagemaker = amazon.client("sagemaker")
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/xrays/"}
    sagemaker.create_auto_ml_job_v2(
        AutoMLJobName="real",
        AutoMLJobInputDataConfig=[{"ChannelType": "training", "DataSource": {"S3DataSource": source}}],
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/automl"},
        AutoMLProblemTypeConfig={"ImageClassificationJobConfig": {}},
        RoleArn=ROLE,
    )
    job = wait_until(
        lambda: sagemaker.describe_auto_ml_job_v2(AutoMLJobName="real"),
        lambda job: job["AutoMLJobStatus"] in ENDED,
        seconds=300,
    )
    assert job["AutoMLJobStatus"] == "Completed", job.get("FailureReason")
    containers = job["BestCandidate"]["InferenceContainers"]
    assert sorted(amazon.tar(containers[0]["ModelDataUrl"])) == ["README.txt", "labels.json", "model.tflite"]
    assert 0 <= job["BestCandidate"]["FinalAutoMLJobObjectiveMetric"]["Value"] <= 1
    sagemaker.create_model(ModelName="real", Containers=containers, ExecutionRoleArn=ROLE)
    sagemaker.create_transform_job(
        TransformJobName="real",
        ModelName="real",
        TransformInput={"DataSource": {"S3DataSource": {**source, "S3Uri": f"s3://{BUCKET}/new/"}}},
        TransformOutput={"S3OutputPath": f"s3://{BUCKET}/scored", "Accept": "application/jsonlines"},
        TransformResources={"InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
        Environment={"SAGEMAKER_INFERENCE_OUTPUT": "predicted_label,probabilities,labels"},
    )
    ended = wait_until(
        lambda: sagemaker.describe_transform_job(TransformJobName="real"),
        lambda one: one["TransformJobStatus"] in ENDED,
        seconds=300,
    )
    assert ended["TransformJobStatus"] == "Completed", ended.get("FailureReason")
    for name in ("a", "b"):
        answer = json.loads(amazon.get(f"scored/{name}.jpeg.out"))
        assert answer["labels"] == list(LABELS)
        assert sum(answer["probabilities"]) == pytest.approx(1, abs=1e-3)
        best = answer["probabilities"].index(max(answer["probabilities"]))
        assert answer["predicted_label"] == LABELS[best]
