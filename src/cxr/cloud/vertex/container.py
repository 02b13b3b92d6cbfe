"""What a job's containers run: the project's own wheel from the bucket, started in a public TensorFlow image."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr.cloud.offers import Hardware, choose_hardware
from cxr.cloud.plans import LaunchPlan
from cxr.cloud.uploading import put_manifest
from cxr.cloud.wheel import WHEEL_NAME, build_wheel
from cxr.errors import InputError, UsageError
from cxr.files import sha256_of_file
from cxr.manifests.manifest import Manifest

#: A public image of the TensorFlow version that the project pins; the service's own prebuilt ones are past their end.
DEFAULT_IMAGE = "docker.io/tensorflow/tensorflow:2.21.0-gpu"
DEFAULT_MACHINE = "g2-standard-4"
#: What the container runs. Its first argument is the wheel (under /gcs, the service's own mount of Cloud Storage), the
#: others are the trainer's: nothing is ever pasted into the shell's text.
START_SCRIPT = 'python3 -m pip install "$1[trainer]" && shift && exec python3 -m cxr.local_baseline.trainer "$@"'
#: The shortest timeout that a container can even start in, and the longest that the service takes.
MINIMUM_TIMEOUT_HOURS, MAXIMUM_TIMEOUT_HOURS = 1 / 60, 168.0
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
#: Words for weights that are no file.
WEIGHTS_WORDS = frozenset({"none", "imagenet"})


@dataclass(frozen=True, slots=True)
class CustomOptions:
    """What a GPU job runs and on what. `timeout_hours` bounds its cost; `overrides` are KEY=VALUE changes of the
    recipe."""

    recipe: str
    hardware: Hardware
    timeout_hours: float = 2.0
    epochs: int | None = None
    seed: int = 7
    weights: str = "none"
    image: str = DEFAULT_IMAGE
    overrides: tuple[str, ...] = ()

    def request(self) -> dict[str, Any]:
        """What decides the job, for a plan. Raises InputError for a weights file that cannot be used."""
        hardware = self.hardware
        return {
            "recipe": self.recipe,
            "machine": hardware.machine,
            "accelerator": hardware.accelerator,
            "gpus": hardware.gpus,
            "replicas": hardware.replicas,
            "spot": hardware.spot,
            "disk_gb": hardware.disk_gb,
            "timeout_hours": self.timeout_hours,
            "image": self.image,
            "epochs": self.epochs,
            "seed": self.seed,
            "weights": _weights_identity(self.weights),
            "overrides": list(self.overrides),
            "trainer": f"{WHEEL_NAME} sha256:{hashlib.sha256(build_wheel()).hexdigest()[:16]}",
        }

    def shown(self) -> list[tuple[str, str]]:
        """The rows of a plan."""
        request = self.request()
        rows = [
            ("recipe", " ".join([self.recipe, *self.overrides])),
            ("machine", self.hardware.words),
            ("timeout", f"{self.timeout_hours:g} h"),
            ("epochs", str(self.epochs or "by the recipe")),
            ("seed", str(self.seed)),
            ("weights", request["weights"]),
            ("image", self.image),
            ("trainer", request["trainer"]),
        ]
        return rows


def options_from(request: Any, weights: str) -> CustomOptions:
    """The options that a saved plan's request was made of; `weights` is a word or the path of the file now. Raises
    InputError when the request is not whole."""
    try:
        hardware = choose_hardware(
            str(request["machine"]),
            gpus=int(request["gpus"]),
            accelerator=request["accelerator"],
            replicas=int(request["replicas"]),
            spot=bool(request["spot"]),
            disk_gb=int(request["disk_gb"]),
        )
        epochs = request["epochs"]
        return CustomOptions(
            recipe=str(request["recipe"]),
            hardware=hardware,
            timeout_hours=float(request["timeout_hours"]),
            epochs=None if epochs is None else int(epochs),
            seed=int(request["seed"]),
            weights=weights,
            image=str(request["image"]),
            overrides=tuple(str(one) for one in request["overrides"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"the plan's request is not whole: {error!r}", hint="make the plan anew") from error


def check_timeout(hours: float) -> None:
    """Raises UsageError for a timeout that the service does not take or that bounds nothing."""
    if not MINIMUM_TIMEOUT_HOURS <= hours <= MAXIMUM_TIMEOUT_HOURS:
        raise UsageError(f"a timeout of {hours:g} hours is not between a minute and 168 hours (7 days)")


def check_trainable(manifest: Manifest) -> None:
    """Raises InputError when a split that training needs is empty."""
    for split in ("train", "validation"):
        if manifest.split(split).empty:
            raise InputError(f"the manifest has no {split} images", hint="make a validation split: cxr data split")


def job_output_url(plan: LaunchPlan) -> str:
    """Where the job writes: the model goes to `model/` under it."""
    return f"{plan.connection.base_url}/jobs/{plan.job_id}"


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
    if hardware.accelerator:
        machine |= {"accelerator_type": hardware.accelerator, "accelerator_count": hardware.gpus}
    return {
        "machine_spec": machine,
        "replica_count": replicas,
        "disk_spec": {"boot_disk_type": "pd-ssd", "boot_disk_size_gb": hardware.disk_gb},
        "container_spec": {
            "image_uri": options.image,
            "command": ["sh", "-c", START_SCRIPT, "trainer"],
            "args": [f"{_mounted(plan)}/{WHEEL_NAME}", *_trainer_arguments(plan, options, weights)],
        },
    }


def _trainer_arguments(plan: LaunchPlan, options: CustomOptions, weights: str) -> list[str]:
    arguments = ["--manifest", f"{job_output_url(plan)}/manifest.csv", "--recipe", options.recipe]
    arguments += ["--seed", str(options.seed), "--weights", weights, "--name", f"gpu-{options.recipe}"]
    if options.epochs is not None:
        arguments += ["--epochs", str(options.epochs)]
    for change in options.overrides:
        arguments += ["--set", change]
    return arguments


def _mounted(plan: LaunchPlan) -> str:
    return job_output_url(plan).replace("gs://", "/gcs/", 1)


def _weights_identity(weights: str) -> str:
    # A file is named by what is in it, so that the same plan is the same job wherever the file lies.
    if weights in WEIGHTS_WORDS:
        return weights
    path = Path(weights)
    if not path.is_file():
        raise InputError(f"there is no weights file {path}", hint="--weights none, imagenet or a .h5 file")
    with path.open("rb") as stream:
        if stream.read(len(HDF5_MAGIC)) != HDF5_MAGIC:
            raise InputError(f"{path} is no HDF5 file", hint="weights are a .h5 file, as Keras writes them")
    return f"{path.name} sha256:{sha256_of_file(path)[:16]}"
