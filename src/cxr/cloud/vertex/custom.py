"""GPU jobs: the project's own wheel from the bucket, started in a public TensorFlow image."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr.cloud.connection import Connection
from cxr.cloud.journal import WITHOUT_RESULT
from cxr.cloud.launching import Submitted
from cxr.cloud.plans import Cost, JobKind, LaunchPlan
from cxr.cloud.prices import machine_offer
from cxr.cloud.uploading import put_manifest
from cxr.cloud.vertex.clients import REQUEST_TIMEOUT_S, job_client
from cxr.cloud.wheel import WHEEL_NAME, build_wheel
from cxr.errors import InputError, UsageError
from cxr.files import sha256_of_file
from cxr.manifests.manifest import Manifest
from cxr.storage.google_errors import google_errors

#: A public image of the TensorFlow version that the project pins; the service's own prebuilt ones are past their end.
DEFAULT_IMAGE = "docker.io/tensorflow/tensorflow:2.21.0-gpu"
DEFAULT_MACHINE = "g2-standard-4"
#: What the container runs. Its first argument is the wheel (under /gcs, the service's own mount of Cloud Storage), the
#: others are the trainer's: nothing is ever pasted into the shell's text.
START_SCRIPT = 'python3 -m pip install "$1[trainer]" && shift && exec python3 -m cxr.local_baseline.trainer "$@"'
#: The shortest timeout that a container can even start in.
MINIMUM_TIMEOUT_HOURS = 1 / 60
MAXIMUM_TIMEOUT_HOURS = 168.0
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class CustomOptions:
    """What a GPU job runs and on what. `timeout_hours` is also the worst case of its cost."""

    recipe: str
    machine: str = DEFAULT_MACHINE
    spot: bool = False
    timeout_hours: float = 2.0
    epochs: int | None = None
    seed: int = 7
    weights: str = "none"
    image: str = DEFAULT_IMAGE


def plan_custom(connection: Connection, manifest: Manifest, options: CustomOptions, *, attempt: int = 1) -> LaunchPlan:
    """The plan of one GPU job. Nothing is asked of the service.

    Raises UsageError for a machine whose price is unknown or a timeout out of range, InputError for a weights file that
    is not there or an empty split.
    """
    machine = machine_offer(options.machine)
    if not MINIMUM_TIMEOUT_HOURS <= options.timeout_hours <= MAXIMUM_TIMEOUT_HOURS:
        raise UsageError(f"a timeout of {options.timeout_hours:g} hours is not between a minute and 168 hours (7 days)")
    for split in ("train", "validation"):
        if manifest.split(split).empty:
            raise InputError(f"the manifest has no {split} images", hint="make a validation split: cxr data split")
    request: dict[str, Any] = {
        "recipe": options.recipe,
        "machine": options.machine,
        "gpus": f"{machine.accelerators} x {machine.accelerator}" if machine.accelerator else "none",
        "spot": options.spot,
        "timeout_hours": options.timeout_hours,
        "image": options.image,
        "epochs": options.epochs or "by the recipe",
        "seed": options.seed,
        "weights": _weights_identity(options.weights),
        "trainer": f"{WHEEL_NAME} sha256:{hashlib.sha256(build_wheel()).hexdigest()[:16]}",
    }
    return LaunchPlan(
        kind=JobKind.CUSTOM,
        connection=connection,
        manifest_hash=manifest.hash,
        request=request,
        cost=Cost(machine.price.usd_per_hour * options.timeout_hours, options.timeout_hours, machine.price),
        leaves_behind=(f"the trainer, logs and the model under {connection.base_url}/jobs",),
        attempt=attempt,
        notes=_notes(connection, options),
    )


def _notes(connection: Connection, options: CustomOptions) -> tuple[str, ...]:
    price = machine_offer(options.machine).price
    notes = []
    if options.spot:
        notes.append("spot capacity costs less than the price shown and can be taken back")
    if price.region != connection.region:
        notes.append(f"the price is that of {price.region}; {connection.region} may cost more")
    return tuple(notes)


def job_output_url(plan: LaunchPlan) -> str:
    """Where the job writes: the model goes to `model/` under it."""
    return f"{plan.connection.base_url}/jobs/{plan.job_id}"


def submit_custom(
    plan: LaunchPlan, manifest: Manifest, options: CustomOptions, *, on_step: Callable[[str], None]
) -> Submitted:
    """Send the wheel, the manifest (and a weights file), create the job, return its resource name at once. An earlier
    job of the same plan that has not failed is found by its label and returned instead."""
    connection = plan.connection
    client = job_client(connection)
    with google_errors("look for the custom job"):
        request = {"parent": connection.parent, "filter": f'labels.cxr-run="{plan.job_id}"'}
        earlier = list(client.list_custom_jobs(request=request, timeout=REQUEST_TIMEOUT_S))
    for job in earlier:
        if job.state.name.removeprefix("JOB_STATE_") not in WITHOUT_RESULT:
            return Submitted(str(job.name), found=True)
    on_step("sending the trainer and the manifest")
    weights = _send(plan, manifest, options)
    with google_errors("create the custom job"):
        job = client.create_custom_job(
            request={"parent": connection.parent, "custom_job": _custom_job(plan, options, weights)},
            timeout=REQUEST_TIMEOUT_S,
        )
    return Submitted(str(job.name))


def _send(plan: LaunchPlan, manifest: Manifest, options: CustomOptions) -> str:
    store = plan.connection.store(f"jobs/{plan.job_id}")
    store.replace_bytes(WHEEL_NAME, build_wheel(), content_type="application/zip")
    # The job's own copy: the one beside the images follows later uploads, a queued job must not.
    put_manifest(store, manifest, plan.connection.images_url)
    if options.weights in {"none", "imagenet"}:
        return options.weights
    path = Path(options.weights)
    store.replace_file(f"weights/{path.name}", path)
    return f"{_mounted(plan)}/weights/{path.name}"


def _custom_job(plan: LaunchPlan, options: CustomOptions, weights: str) -> dict[str, Any]:
    from google.cloud.aiplatform_v1 import types
    from google.protobuf import duration_pb2

    machine = machine_offer(options.machine)
    machine_spec: dict[str, Any] = {"machine_type": machine.name}
    if machine.accelerator:
        machine_spec |= {"accelerator_type": machine.accelerator, "accelerator_count": machine.accelerators}
    strategy = types.Scheduling.Strategy.SPOT if options.spot else types.Scheduling.Strategy.STANDARD
    args = ["--manifest", f"{job_output_url(plan)}/manifest.csv", "--recipe", options.recipe]
    args += ["--seed", str(options.seed), "--weights", weights, "--name", f"gpu-{options.recipe}"]
    args += ["--epochs", str(options.epochs)] if options.epochs else []
    return {
        "display_name": plan.job_id,
        "labels": plan.labels,
        "job_spec": {
            "worker_pool_specs": [
                {
                    "machine_spec": machine_spec,
                    "replica_count": 1,
                    "container_spec": {
                        "image_uri": options.image,
                        "command": ["sh", "-c", START_SCRIPT, "trainer"],
                        "args": [f"{_mounted(plan)}/{WHEEL_NAME}", *args],
                    },
                }
            ],
            "scheduling": {
                "timeout": duration_pb2.Duration(seconds=round(options.timeout_hours * 3600)),
                "strategy": strategy,
            },
            "base_output_directory": {"output_uri_prefix": job_output_url(plan)},
        },
    }


def _mounted(plan: LaunchPlan) -> str:
    return job_output_url(plan).replace("gs://", "/gcs/", 1)


def _weights_identity(weights: str) -> str:
    # A file is named by what is in it, so that the same plan is the same job wherever the file lies.
    if weights in {"none", "imagenet"}:
        return weights
    path = Path(weights)
    if not path.is_file():
        raise InputError(f"there is no weights file {path}", hint="--weights none, imagenet or a .h5 file")
    with path.open("rb") as stream:
        if stream.read(len(HDF5_MAGIC)) != HDF5_MAGIC:
            raise InputError(f"{path} is no HDF5 file", hint="weights are a .h5 file, as Keras writes them")
    return f"{path.name} sha256:{sha256_of_file(path)[:16]}"
