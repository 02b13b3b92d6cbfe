"""What a job's containers run: the project's own wheel from the bucket, started in a public TensorFlow image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cxr.cloud.plans.launch import LaunchPlan
from cxr.cloud.trainer.job import WEIGHTS_WORDS, CustomOptions, job_output_url, trainer_arguments
from cxr.cloud.trainer.wheel import WHEEL_NAME, build_wheel
from cxr.cloud.uploading import put_manifest
from cxr.manifests.manifest import Manifest

#: What the container runs. Its first argument is the wheel (under /gcs, the service's own mount of Cloud Storage), the
#: others are the trainer's: nothing is ever pasted into the shell's text. The wheel is installed by force first: pip
#: would leave a cxr of the same version that the image has, and the job would not run the bytes that its plan names.
START_SCRIPT = (
    'python3 -m pip install --no-deps --force-reinstall "$1" && python3 -m pip install "$1[trainer]" && shift'
    ' && exec python3 -m cxr.local_baseline.trainer "$@"'
)


def send_inputs(plan: LaunchPlan, manifest: Manifest, options: CustomOptions) -> str:
    """Send the wheel, the job's own copy of the manifest and a weights file; returns the trainer's --weights."""
    store = plan.connection.store(f"jobs/{plan.job_id}")
    store.replace_bytes(WHEEL_NAME, build_wheel(), content_type="application/zip")
    # The job's own copy: the one beside the images follows later uploads, a queued job must not.
    put_manifest(store, manifest, plan.connection.images_url)
    if options.weights in WEIGHTS_WORDS:
        return options.weights
    path = Path(options.weights)
    store.replace_file(f"weights/{path.name}", path)
    return f"{_mounted(plan)}/weights/{path.name}"


def job_spec(plan: LaunchPlan, options: CustomOptions, weights: str) -> dict[str, Any]:
    """The CustomJobSpec: a chief, and with several replicas a pool of workers that run the same."""
    from google.cloud.aiplatform_v1 import types
    from google.protobuf import duration_pb2

    hardware = options.hardware
    strategy = types.Scheduling.Strategy.SPOT if hardware.spot else types.Scheduling.Strategy.STANDARD
    pools = [_pool(plan, options, weights, 1)]
    if hardware.replicas > 1:
        pools.append(_pool(plan, options, weights, hardware.replicas - 1))
    return {
        "worker_pool_specs": pools,
        "scheduling": {
            "timeout": duration_pb2.Duration(seconds=round(options.timeout_hours * 3600)),
            "strategy": strategy,
            # Workers of one cluster cannot go on when one of them starts anew: all go back to the last checkpoint.
            "restart_job_on_worker_restart": hardware.replicas > 1,
        },
        "base_output_directory": {"output_uri_prefix": job_output_url(plan)},
    }


def _pool(plan: LaunchPlan, options: CustomOptions, weights: str, replicas: int) -> dict[str, Any]:
    hardware = options.hardware
    machine: dict[str, Any] = {"machine_type": hardware.machine}
    told = trainer_arguments(f"{job_output_url(plan)}/manifest.csv", options, weights)
    if hardware.accelerator:
        machine |= {"accelerator_type": hardware.accelerator, "accelerator_count": hardware.gpus}
    return {
        "machine_spec": machine,
        "replica_count": replicas,
        "disk_spec": {"boot_disk_type": "pd-ssd", "boot_disk_size_gb": hardware.disk_gb},
        "container_spec": {
            "image_uri": options.image,
            "command": ["sh", "-c", START_SCRIPT, "trainer"],
            "args": [f"{_mounted(plan)}/{WHEEL_NAME}", *told],
        },
    }


def _mounted(plan: LaunchPlan) -> str:
    return job_output_url(plan).replace("gs://", "/gcs/", 1)
