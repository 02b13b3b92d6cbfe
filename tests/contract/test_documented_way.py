"""The way Google documents: `aiplatform.init`, ImageDataset, AutoMLImageTrainingJob, CustomJob, all unmodified."""

from __future__ import annotations

import pytest

pytest.importorskip("google.cloud.aiplatform", reason='needs the extra: pip install "cxr[gcp]"')

from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform, storage


def test_documented_way(server_url: str, bucket: storage.Bucket) -> None:
    aiplatform.init(
        api_endpoint=server_url,
        api_transport="rest",
        credentials=AnonymousCredentials(),
        project="cxr-contract",
        location="us-central1",
        staging_bucket=f"gs://{bucket.name}",
    )
    lines = []
    for number in range(24):
        bucket.blob(f"{number}.png").upload_from_string(b"\x89PNG\r\n\x1a\n%d" % number)
        ml_use = "test" if number < 4 else "validation" if number < 8 else "training"
        lines.append(f"{ml_use},gs://{bucket.name}/{number}.png,{('NORMAL', 'PNEUMONIA')[number % 2]}\n")
    bucket.blob("import.csv").upload_from_string("".join(lines))
    dataset = aiplatform.ImageDataset.create(
        display_name="documented",
        gcs_source=f"gs://{bucket.name}/import.csv",
        import_schema_uri=aiplatform.schema.dataset.ioformat.image.single_label_classification,
    )
    job = aiplatform.AutoMLImageTrainingJob(
        display_name="documented",
        prediction_type="classification",
        model_type="MOBILE_TF_VERSATILE_1",
        labels={"way": "documented"},
    )
    ml_use = "labels.aiplatform.googleapis.com/ml_use"
    model = job.run(
        dataset=dataset,
        model_display_name="documented-model",
        training_filter_split=f"{ml_use}=training",
        validation_filter_split=f"{ml_use}=validation",
        test_filter_split=f"{ml_use}=test",
        budget_milli_node_hours=1000,
    )
    assert job.state.name == "PIPELINE_STATE_SUCCEEDED"
    assert model.display_name == "documented-model"
    assert model.supported_export_formats.keys() == {"tflite", "edgetpu-tflite", "tf-saved-model", "tf-js"}
    assert model.list_model_evaluations()[0].metrics["auPrc"] == 0.9
    exported = model.export_model("tflite", artifact_destination=f"gs://{bucket.name}/out")
    assert exported["artifactOutputUri"].startswith(f"gs://{bucket.name}/out/model-{model.name}/tflite/")
    again = aiplatform.AutoMLImageTrainingJob.list(filter='labels.way="documented"')
    assert job.resource_name in {found.resource_name for found in again}
    custom = aiplatform.CustomJob(
        display_name="documented",
        worker_pool_specs=[
            {
                "machine_spec": {"machine_type": "n1-standard-4"},
                "replica_count": 1,
                "container_spec": {"image_uri": "python:3.11", "command": ["python3", "-c", "print(1)"]},
            }
        ],
    )
    custom.submit()
    assert aiplatform.CustomJob.get(custom.resource_name).display_name == "documented"
    model.delete()
    dataset.delete()
