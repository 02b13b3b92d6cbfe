"""What the service's resources tell of a job beyond its state: progress, what was asked for, what came of it.

Each function gives a subset of the fields `model`, `output_url`, `dataset`, `progress` and `details` of a Seen job.
`progress` and `details` hold JSON values only, because they go into the journal; keys as in `cxr.cloud.jobs.progress`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cxr.cloud.vertex.offers import AUTOML_OFFERS

#: The service lists at most this many partial failures itself.
MOST_FAILURES = 20
#: What the service gives a machine whose disk_spec says nothing.
DEFAULT_DISK_GB = 100
_MODEL_TYPES = {offer.service_name: str(model_type) for model_type, offer in AUTOML_OFFERS.items()}
_IMPORT = "ImportDataOperationMetadata"


def moment(time: Any) -> str:
    """A protobuf time as ISO text in UTC, "" when it is not set."""
    return str(time.isoformat(timespec="seconds")) if time else ""


def automl_facts(pipeline: Any) -> dict[str, Any]:
    """Of a TrainingPipeline: the budget, the node hours used, the model."""
    inputs, metadata = _plain(pipeline.training_task_inputs), _plain(pipeline.training_task_metadata)
    details: dict[str, Any] = {"task": str(pipeline.training_task_definition).rpartition("/")[2]}
    if inputs.get("modelType"):
        details["model_type"] = _MODEL_TYPES.get(inputs["modelType"], inputs["modelType"])
    if inputs.get("budgetMilliNodeHours"):
        details["budget_milli_node_hours"] = int(inputs["budgetMilliNodeHours"])
    if metadata.get("backingCustomJob"):
        details["custom_job"] = metadata["backingCustomJob"]
    progress: dict[str, Any] = {}
    if metadata.get("costMilliNodeHours"):
        progress["milli_node_hours"] = int(metadata["costMilliNodeHours"])
    dataset = str(pipeline.input_data_config.dataset_id) if pipeline.input_data_config else ""
    parent = str(pipeline.name).partition("/trainingPipelines/")[0]
    return {
        "model": str(pipeline.model_to_upload.name),
        "dataset": f"{parent}/datasets/{dataset}" if dataset else "",
        "progress": progress,
        "details": details,
    }


def custom_facts(job: Any) -> dict[str, Any]:
    """Of a CustomJob: machines, timeout, where it writes."""
    return {
        "output_url": str(job.job_spec.base_output_directory.output_uri_prefix).rstrip("/"),
        "details": _spec_details(job.job_spec),
    }


def tuning_facts(job: Any) -> dict[str, Any]:
    """Of a HyperparameterTuningJob: trials done, the best so far, machines of one trial."""
    details = _spec_details(job.trial_job_spec)
    details |= {"trials": int(job.max_trial_count), "parallel": int(job.parallel_trial_count)}
    states = [trial.state.name for trial in job.trials]
    progress: dict[str, Any] = {
        "trials_done": sum(state in {"SUCCEEDED", "INFEASIBLE"} for state in states),
        "trials_failed": states.count("INFEASIBLE"),
        "trials_total": int(job.max_trial_count),
    }
    best = _best_trial(job)
    if best:
        progress["best"] = best
    ended = [trial for trial in job.trials if trial.start_time and trial.end_time]
    hours = sum((trial.end_time - trial.start_time).total_seconds() for trial in ended) / 3600
    progress["trial_hours"] = round(hours, 4)
    if ended:
        progress["measured_at"] = moment(max(trial.end_time for trial in ended))
    progress["running_since"] = [
        moment(trial.start_time) for trial in job.trials if trial.start_time and not trial.end_time
    ]
    return {
        "output_url": str(job.trial_job_spec.base_output_directory.output_uri_prefix).rstrip("/"),
        "progress": progress,
        "details": details,
    }


def batch_facts(job: Any) -> dict[str, Any]:
    """Of a BatchPredictionJob: items done, replica hours, where the predictions are."""
    progress: dict[str, Any] = {}
    if job.completion_stats:
        progress["items_done"] = int(job.completion_stats.successful_count)
        progress["items_failed"] = int(job.completion_stats.failed_count)
    if job.resources_consumed and job.resources_consumed.replica_hours:
        progress["replica_hours"] = round(float(job.resources_consumed.replica_hours), 4)
    if job.partial_failures:
        progress["failures"] = [str(status.message) for status in job.partial_failures[:MOST_FAILURES]]
    output = str(job.output_info.gcs_output_directory) if job.output_info else ""
    if output:
        progress["output_directory"] = output
    details: dict[str, Any] = {"model": str(job.model)}
    if job.dedicated_resources and job.dedicated_resources.machine_spec.machine_type:
        details["machine"] = str(job.dedicated_resources.machine_spec.machine_type)
        details["replicas"] = int(job.dedicated_resources.max_replica_count or 1)
    planned = str(job.output_config.gcs_destination.output_uri_prefix)
    return {"output_url": (output or planned).rstrip("/"), "progress": progress, "details": details}


def import_facts(operation: Any) -> dict[str, Any]:
    """Of the operation of a dataset's import: its times and what it could not take. Raises ValueError for the
    operation of something else."""
    from google.cloud.aiplatform_v1 import types

    if not operation.metadata.type_url.endswith(_IMPORT):
        raise ValueError(f"{operation.name} is no import of images")
    metadata = types.ImportDataOperationMetadata.deserialize(operation.metadata.value)
    generic = metadata.generic_metadata
    failures = [str(status.message) for status in generic.partial_failures[:MOST_FAILURES]]
    return {
        "created": moment(generic.create_time),
        "updated": moment(generic.update_time),
        "dataset": str(operation.name).partition("/operations/")[0],
        "progress": {"failures": failures} if failures else {},
    }


def _best_trial(job: Any) -> dict[str, Any] | None:
    metrics = list(job.study_spec.metrics)
    if not metrics:
        return None
    name, maximise = str(metrics[0].metric_id), metrics[0].goal.name != "MINIMIZE"
    measured = [
        (metric.value, trial)
        for trial in job.trials
        if trial.state.name == "SUCCEEDED"
        for metric in trial.final_measurement.metrics
        if metric.metric_id == name
    ]
    if not measured:
        return None
    value, trial = (max if maximise else min)(measured, key=lambda pair: pair[0])
    parameters = {str(one.parameter_id): _value(one.value) for one in trial.parameters}
    return {"trial": str(trial.id), "metric": name, "value": round(float(value), 6), "parameters": parameters}


def _spec_details(spec: Any) -> dict[str, Any]:
    details: dict[str, Any] = {}
    pools = [pool for pool in spec.worker_pool_specs if pool.machine_spec.machine_type]
    if pools:
        details |= _machines(pools)
        details["image"] = str(pools[0].container_spec.image_uri)
        details["disk_gb"] = max(int(pool.disk_spec.boot_disk_size_gb or DEFAULT_DISK_GB) for pool in pools)
    if spec.scheduling and spec.scheduling.timeout:
        details["timeout_hours"] = round(spec.scheduling.timeout.total_seconds() / 3600, 4)
    if spec.scheduling and spec.scheduling.strategy.name == "SPOT":
        details["spot"] = True
    return details


def _machines(pools: Sequence[Any]) -> dict[str, Any]:
    """Machine, accelerator and number of replicas; of pools that are not alike only words."""
    replicas = [int(pool.replica_count or 1) for pool in pools]
    kinds = [
        (str(spec.machine_type), spec.accelerator_type.name if spec.accelerator_count else "", spec.accelerator_count)
        for spec in (pool.machine_spec for pool in pools)
    ]
    if len(set(kinds)) > 1:
        words = (
            f"{count} x {machine}{f' with {gpus} x {accelerator}' if accelerator else ''}"
            for count, (machine, accelerator, gpus) in zip(replicas, kinds, strict=True)
        )
        return {"machines": " + ".join(words)}
    machine, accelerator, gpus = kinds[0]
    gpu = {"accelerator": accelerator, "gpus": int(gpus)} if accelerator else {}
    return {"machine": machine, "replicas": sum(replicas), **gpu}


def _plain(value: Any) -> Mapping[str, Any]:
    # A protobuf Value; the marshalling of proto-plus already makes a mapping of a struct.
    return value if isinstance(value, Mapping) else {}


def _value(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool) else str(value)
