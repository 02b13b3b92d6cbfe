"""Vertex AI as the unmodified lower clients see it: the whole way of AutoML, and custom jobs."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

pytest.importorskip("google.cloud.aiplatform_v1", reason='needs the extra: pip install "cxr[gcp]"')

from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1
from google.cloud import storage
from google.protobuf import json_format, struct_pb2
from PIL import Image

IMAGE_SCHEMA = "gs://google-cloud-aiplatform/schema/dataset/metadata/image_1.0.0.yaml"
IO_FORMAT = (
    "gs://google-cloud-aiplatform/schema/dataset/ioformat/image_classification_single_label_io_format_1.0.0.yaml"
)
TASK = "gs://google-cloud-aiplatform/schema/trainingjob/definition/automl_image_classification_1.0.0.yaml"
ML_USE = "labels.aiplatform.googleapis.com/ml_use"
EXPORTED = ["tflite", "edgetpu-tflite", "tf-saved-model", "tf-js"]
ENDED = ("SUCCEEDED", "FAILED", "CANCELLED")


def value(raw: Any) -> struct_pb2.Value:
    return json_format.ParseDict(raw, struct_pb2.Value())


@contextmanager
def refused(status: str, match: str | None = None) -> Iterator[None]:
    """The block's call is refused with this status. (Over REST the SDK makes BadRequest of every 400.)"""
    with pytest.raises(exceptions.BadRequest, match=match) as caught:
        yield
    assert caught.value.response.json()["error"]["status"] == status


def wait_until_ended(get: Callable[[], Any], seconds: float = 240) -> Any:
    deadline = time.monotonic() + seconds
    while not (job := get()).state.name.endswith(ENDED):
        assert time.monotonic() < deadline, f"still {job.state.name}"
        time.sleep(0.05)
    return job


def jpeg(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (8, 8), number).save(buffer, "JPEG")
    return buffer.getvalue() + b"#%d" % number


def upload_images(bucket: storage.Bucket, count: int = 24) -> list[tuple[str, str, str]]:
    """(ml_use, uri, label) of images in two classes, and in all three sets."""
    rows = []
    for number in range(count):
        name = f"images/{number:03d}.jpeg"
        bucket.blob(name).upload_from_string(jpeg(number), content_type="image/jpeg")
        ml_use = "test" if number < 4 else "validation" if number < 8 else "training"
        rows.append((ml_use, f"gs://{bucket.name}/{name}", ("NORMAL", "PNEUMONIA")[number % 2]))
    return rows


def import_csv(client: Any, dataset: str, bucket: storage.Bucket, lines: list[str], name: str = "import.csv") -> Any:
    bucket.blob(name).upload_from_string("".join(line + "\n" for line in lines))
    config = v1.ImportDataConfig(
        gcs_source=v1.GcsSource(uris=[f"gs://{bucket.name}/{name}"]), import_schema_uri=IO_FORMAT
    )
    return client.import_data(name=dataset, import_configs=[config])


@pytest.fixture(scope="module")
def datasets(lower: Callable[[type[Any]], Any]) -> Any:
    return lower(v1.DatasetServiceClient)


@pytest.fixture(scope="module")
def pipelines(lower: Callable[[type[Any]], Any]) -> Any:
    return lower(v1.PipelineServiceClient)


@pytest.fixture(scope="module")
def jobs(lower: Callable[[type[Any]], Any]) -> Any:
    return lower(v1.JobServiceClient)


@pytest.fixture(scope="module")
def models(lower: Callable[[type[Any]], Any]) -> Any:
    return lower(v1.ModelServiceClient)


@pytest.fixture
def dataset(datasets: Any, parent: str) -> str:
    wanted = v1.Dataset(display_name="chests", metadata_schema_uri=IMAGE_SCHEMA, metadata=value({}))
    name: str = datasets.create_dataset(parent=parent, dataset=wanted).result(90).name
    return name


@pytest.fixture
def full_dataset(datasets: Any, dataset: str, bucket: storage.Bucket) -> str:
    import_csv(datasets, dataset, bucket, [",".join(row) for row in upload_images(bucket)]).result(90)
    return dataset


def training(dataset: str, budget: int = 1000, **extra: Any) -> v1.TrainingPipeline:
    filters = v1.FilterSplit(
        training_filter=f"{ML_USE}=training", validation_filter=f"{ML_USE}=validation", test_filter=f"{ML_USE}=test"
    )
    return v1.TrainingPipeline(
        display_name="train",
        training_task_definition=TASK,
        training_task_inputs=value(
            {"modelType": "MOBILE_TF_VERSATILE_1", "budgetMilliNodeHours": budget, "multiLabel": False}
        ),
        input_data_config=v1.InputDataConfig(dataset_id=dataset.rpartition("/")[2], filter_split=filters),
        model_to_upload=v1.Model(display_name="the-model", labels={"team": "radiology"}),
        **extra,
    )


def custom_job(command: list[str], *args: str, **spec: Any) -> v1.CustomJob:
    container = v1.ContainerSpec(image_uri="docker.io/library/python:3.11", command=command, args=list(args))
    pool = v1.WorkerPoolSpec(
        machine_spec=v1.MachineSpec(machine_type="n1-standard-4"), replica_count=1, container_spec=container
    )
    return v1.CustomJob(
        display_name="custom", job_spec=v1.CustomJobSpec(worker_pool_specs=[pool], **spec), labels={"run": "a"}
    )


def test_a_dataset_is_created_found_listed_and_deleted(datasets: Any, parent: str, dataset: str) -> None:
    found = datasets.get_dataset(name=dataset)
    assert (found.display_name, found.metadata_schema_uri) == ("chests", IMAGE_SCHEMA)
    assert found.create_time is not None
    request = v1.ListDatasetsRequest(parent=parent, filter='display_name="chests"')
    assert dataset in {item.name for item in datasets.list_datasets(request=request)}
    datasets.delete_dataset(name=dataset).result(90)
    with pytest.raises(exceptions.NotFound):
        datasets.get_dataset(name=dataset)


def test_import_reports_what_it_could_not_read(datasets: Any, dataset: str, bucket: storage.Bucket) -> None:
    rows = upload_images(bucket, 4)
    bucket.blob("copy.jpeg").upload_from_string(jpeg(0))
    bucket.blob("words.jpeg").upload_from_string(b"these are words")
    lines = [
        *(",".join(row) for row in rows),
        f"training,gs://{bucket.name}/copy.jpeg,NORMAL",  # the bytes of the first image: dropped, no failure
        f"training,gs://{bucket.name}/missing.jpeg,NORMAL",
        f"training,gs://{bucket.name}/words.jpeg,NORMAL",
        f"training,{rows[0][1]},0-NORMAL",
        f"holiday,{rows[0][1]},NORMAL",
        f"{rows[0][1]},NORMAL,PNEUMONIA",
    ]
    operation = import_csv(datasets, dataset, bucket, lines)
    operation.result(90)
    failures = [failure.message for failure in operation.metadata.generic_metadata.partial_failures]
    assert len(failures) == 5
    assert "missing.jpeg" in failures[0]
    assert "line 9" in failures[3]
    assert datasets.get_dataset(name=dataset).data_item_count == 4


def test_import_of_json_lines(datasets: Any, dataset: str, bucket: storage.Bucket) -> None:
    lines = [
        json.dumps(
            {
                "imageGcsUri": uri,
                "classificationAnnotation": {"displayName": label},
                "dataItemResourceLabels": {"aiplatform.googleapis.com/ml_use": ml_use},
            }
        )
        for ml_use, uri, label in upload_images(bucket, 6)
    ]
    operation = import_csv(datasets, dataset, bucket, [*lines, '{"imageGcsUri": 5}'], "import.jsonl")
    operation.result(90)
    assert len(operation.metadata.generic_metadata.partial_failures) == 1
    assert datasets.get_dataset(name=dataset).data_item_count == 6


def test_import_of_composed_images(datasets: Any, dataset: str, bucket: storage.Bucket) -> None:
    lines = []
    for number in range(3):
        piece = bucket.blob(f"piece-{number}")
        piece.upload_from_string(jpeg(number))
        composed = bucket.blob(f"composed-{number}.jpeg")
        composed.content_type = "image/jpeg"
        composed.compose([piece])
        lines.append(f"gs://{bucket.name}/{composed.name},NORMAL")
    lines.append(f"gs://{bucket.name}/piece-0,NORMAL")  # the bytes of the first: not counted again
    import_csv(datasets, dataset, bucket, lines).result(90)
    assert datasets.get_dataset(name=dataset).data_item_count == 3


def test_import_of_a_missing_file_fails(datasets: Any, dataset: str, bucket: storage.Bucket) -> None:
    config = v1.ImportDataConfig(
        gcs_source=v1.GcsSource(uris=[f"gs://{bucket.name}/none.csv"]), import_schema_uri=IO_FORMAT
    )
    with pytest.raises(exceptions.NotFound, match=r"none\.csv"):
        datasets.import_data(name=dataset, import_configs=[config]).result(90)


def test_automl_from_dataset_to_exported_model(
    pipelines: Any, models: Any, parent: str, full_dataset: str, bucket: storage.Bucket
) -> None:
    created = pipelines.create_training_pipeline(parent=parent, training_pipeline=training(full_dataset))
    assert created.state.name in {"PIPELINE_STATE_PENDING", "PIPELINE_STATE_QUEUED"}
    done = wait_until_ended(lambda: pipelines.get_training_pipeline(name=created.name))
    assert done.state.name == "PIPELINE_STATE_SUCCEEDED", done.error
    assert done.create_time <= done.start_time <= done.end_time
    model = models.get_model(name=done.model_to_upload.name)
    assert (model.display_name, model.training_pipeline) == ("the-model", created.name)
    assert dict(model.labels) == {"team": "radiology", "cxr-emulator": "stand-in"}
    assert [item.id for item in model.supported_export_formats] == EXPORTED
    (evaluation,) = models.list_model_evaluations(parent=model.name)
    metrics = json_format.MessageToDict(v1.ModelEvaluation.pb(evaluation))["metrics"]
    assert [spec["displayName"] for spec in metrics["confusionMatrix"]["annotationSpecs"]] == ["NORMAL", "PNEUMONIA"]
    assert metrics["confusionMatrix"]["rows"] == [[16.0, 4.0], [4.0, 0.0]]  # the stand-in got the sets of the filters
    assert models.get_model_evaluation(name=evaluation.name).name == evaluation.name
    slices = list(models.list_model_evaluation_slices(parent=evaluation.name))
    assert {(part.slice_.dimension, part.slice_.value) for part in slices} == {
        ("annotationSpec", "NORMAL"),
        ("annotationSpec", "PNEUMONIA"),
    }
    assert models.get_model_evaluation_slice(name=slices[0].name).metrics["auRoc"] == 0.8
    for format_id, files in (
        ("tflite", {"model.tflite"}),
        ("edgetpu-tflite", {"edgetpu_model.tflite"}),
        ("tf-saved-model", {"saved_model.pb", "variables.index"}),
        ("tf-js", {"model.json", "dict.txt", "group1-shard1of1.bin"}),
    ):
        config = v1.ExportModelRequest.OutputConfig(
            export_format_id=format_id,
            artifact_destination=v1.GcsDestination(output_uri_prefix=f"gs://{bucket.name}/out"),
        )
        operation = models.export_model(name=model.name, output_config=config)
        operation.result(90)
        uri = operation.metadata.output_info.artifact_output_uri
        below = f"gs://{bucket.name}/out/model-{model.name.rpartition('/')[2]}/{format_id}/"
        assert uri.startswith(below)
        exported = {blob.name.rpartition("/")[2] for blob in bucket.list_blobs(prefix=uri.split(f"{bucket.name}/")[1])}
        assert exported == files
    models.delete_model(name=model.name).result(90)
    with pytest.raises(exceptions.NotFound):
        models.get_model(name=model.name)


def test_an_export_format_that_the_model_has_not_is_refused(
    pipelines: Any, models: Any, parent: str, full_dataset: str, bucket: storage.Bucket
) -> None:
    created = pipelines.create_training_pipeline(parent=parent, training_pipeline=training(full_dataset))
    done = wait_until_ended(lambda: pipelines.get_training_pipeline(name=created.name))
    config = v1.ExportModelRequest.OutputConfig(
        export_format_id="core-ml", artifact_destination=v1.GcsDestination(output_uri_prefix=f"gs://{bucket.name}/")
    )
    with refused("FAILED_PRECONDITION", match="core-ml"):
        models.export_model(name=done.model_to_upload.name, output_config=config)


def test_pipelines_are_listed_by_label_name_and_page(pipelines: Any, parent: str, full_dataset: str) -> None:
    names = []
    for number in range(3):
        wanted = training(full_dataset, labels={"batch": "listing", "number": str(number)})
        wanted.training_task_inputs = value({"modelType": "MOBILE_TF_VERSATILE_1", "budgetMilliNodeHours": 1001})
        names.append(pipelines.create_training_pipeline(parent=parent, training_pipeline=wanted).name)

    def listed(**request: Any) -> list[str]:
        pager = pipelines.list_training_pipelines(request=v1.ListTrainingPipelinesRequest(parent=parent, **request))
        return [item.name for item in pager]

    assert listed(filter='labels.batch="listing"', page_size=2) == names[::-1]
    assert listed(filter='labels.batch="listing" AND labels.number="1"') == [names[1]]
    assert set(names) <= set(listed(filter='display_name="train"'))
    with refused("INVALID_ARGUMENT"):
        listed(filter="colour=red")


def test_a_failed_pipeline_says_why_and_can_be_deleted(pipelines: Any, parent: str, full_dataset: str) -> None:
    wanted = training(full_dataset, budget=1001)  # the test's stand-in fails at this budget
    name = pipelines.create_training_pipeline(parent=parent, training_pipeline=wanted).name
    done = wait_until_ended(lambda: pipelines.get_training_pipeline(name=name))
    assert done.state.name == "PIPELINE_STATE_FAILED"
    assert "the images are too dark" in done.error.message
    pipelines.delete_training_pipeline(name=name).result(90)
    with pytest.raises(exceptions.NotFound):
        pipelines.get_training_pipeline(name=name)


def test_a_running_pipeline_is_cancelled(pipelines: Any, parent: str, full_dataset: str) -> None:
    wanted = training(full_dataset, budget=1002)  # the test's stand-in hangs at this budget
    name = pipelines.create_training_pipeline(parent=parent, training_pipeline=wanted).name
    while pipelines.get_training_pipeline(name=name).state.name != "PIPELINE_STATE_RUNNING":
        time.sleep(0.05)
    with refused("FAILED_PRECONDITION"):
        pipelines.delete_training_pipeline(name=name)
    pipelines.cancel_training_pipeline(name=name)
    assert wait_until_ended(lambda: pipelines.get_training_pipeline(name=name)).state.name == "PIPELINE_STATE_CANCELLED"
    with refused("FAILED_PRECONDITION"):
        pipelines.cancel_training_pipeline(name=name)


def test_a_custom_job_runs_its_command_with_the_services_environment(
    jobs: Any, parent: str, bucket: storage.Bucket
) -> None:
    script = (
        "import os, json; print(json.dumps({k: os.environ[k] for k in os.environ if k.startswith(('AIP', 'CL', 'X'))}))"
    )
    wanted = custom_job(
        ["python3", "-c", script],
        base_output_directory=v1.GcsDestination(output_uri_prefix=f"gs://{bucket.name}/run"),
    )
    wanted.job_spec.worker_pool_specs[0].container_spec.env = [v1.EnvVar(name="XRAY", value="1")]
    created = jobs.create_custom_job(parent=parent, custom_job=wanted)
    done = wait_until_ended(lambda: jobs.get_custom_job(name=created.name))
    assert done.state.name == "JOB_STATE_SUCCEEDED", done.error
    assert created.name in {job.name for job in jobs.list_custom_jobs(parent=parent)}
    request = v1.ListCustomJobsRequest(parent=parent, filter='labels.run="a" AND state="JOB_STATE_SUCCEEDED"')
    assert created.name in {job.name for job in jobs.list_custom_jobs(request=request)}
    jobs.delete_custom_job(name=created.name).result(90)


def test_a_custom_job_that_exits_with_an_error_fails(jobs: Any, parent: str) -> None:
    wanted = custom_job(["sh", "-c", "echo no space left >&2; exit 7"])
    name = jobs.create_custom_job(parent=parent, custom_job=wanted).name
    done = wait_until_ended(lambda: jobs.get_custom_job(name=name))
    assert done.state.name == "JOB_STATE_FAILED"
    assert "non-zero status of 7" in done.error.message


def test_a_custom_job_is_cancelled_with_all_its_processes(jobs: Any, parent: str) -> None:
    name = jobs.create_custom_job(parent=parent, custom_job=custom_job(["sh", "-c", "sleep 600 & sleep 600"])).name
    while jobs.get_custom_job(name=name).state.name != "JOB_STATE_RUNNING":
        time.sleep(0.05)
    jobs.cancel_custom_job(name=name)
    assert wait_until_ended(lambda: jobs.get_custom_job(name=name)).state.name == "JOB_STATE_CANCELLED"


def test_operations_are_found_waited_for_and_listed(datasets: Any, dataset: str, bucket: storage.Bucket) -> None:
    operation = import_csv(datasets, dataset, bucket, [",".join(row) for row in upload_images(bucket, 2)])
    name = operation.operation.name
    waited = datasets.wait_operation({"name": name})
    assert waited.done
    assert datasets.get_operation({"name": name}).name == name
    with refused("FAILED_PRECONDITION"):
        datasets.cancel_operation({"name": name})
    datasets.delete_operation({"name": name})
    with pytest.raises(exceptions.NotFound):
        datasets.get_operation({"name": name})
