"""The way Google documents: `aiplatform.init`, ImageDataset, AutoMLImageTrainingJob, CustomJob, all unmodified."""

from __future__ import annotations

import pytest

pytest.importorskip("google.cloud.aiplatform", reason='needs the extra: pip install "cxr[gcp]"')

from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform, storage
from google.cloud.aiplatform import hyperparameter_tuning


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
    model.delete()
    dataset.delete()


TRAINER = """
import json, os, sys
options = dict(word.lstrip("-").split("=") for word in sys.argv[1:])
with open(os.environ.get("CLOUD_ML_HP_METRIC_FILE", os.devnull), "a") as report:
    report.write(json.dumps({"accuracy": str(1 - float(options["lr"])), "global_step": "1"}) + "\\n")
"""


@pytest.mark.slow
def test_custom_and_tuning_jobs_in_the_documented_way(server_url: str, bucket: storage.Bucket) -> None:
    aiplatform.init(
        api_endpoint=server_url,
        api_transport="rest",
        credentials=AnonymousCredentials(),
        project="cxr-contract",
        location="us-central1",
        staging_bucket=f"gs://{bucket.name}",
    )
    container = {"image_uri": "python:3.11", "command": ["python3", "-c", TRAINER]}
    custom = aiplatform.CustomJob(
        display_name="documented",
        worker_pool_specs=[
            {
                "machine_spec": {"machine_type": "n1-standard-4"},
                "replica_count": 1,
                "container_spec": {**container, "args": ["--lr=0.5"]},
            }
        ],
    )
    custom.submit()
    trial = aiplatform.CustomJob(
        display_name="documented-trial",
        worker_pool_specs=[
            {"machine_spec": {"machine_type": "n1-standard-4"}, "replica_count": 1, "container_spec": container}
        ],
    )
    tuning = aiplatform.HyperparameterTuningJob(
        display_name="documented-tuning",
        custom_job=trial,
        metric_spec={"accuracy": "maximize"},
        parameter_spec={
            "lr": hyperparameter_tuning.DoubleParameterSpec(min=0.001, max=0.1, scale="log"),
            "batch": hyperparameter_tuning.DiscreteParameterSpec(values=[16, 32], scale="linear"),
        },
        max_trial_count=3,
        parallel_trial_count=2,
    )
    tuning.run()
    assert tuning.state.name == "JOB_STATE_SUCCEEDED"
    assert len(tuning.trials) == 3
    for done in tuning.trials:
        values = {parameter.parameter_id: parameter.value for parameter in done.parameters}
        assert done.final_measurement.metrics[0].value == pytest.approx(1 - values["lr"])
    assert aiplatform.CustomJob.get(custom.resource_name).state.name == "JOB_STATE_SUCCEEDED"
