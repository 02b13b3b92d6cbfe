"""What SageMaker is asked for when the own trainer is to run: container, channels, machines, limits.

Sources: CreateTrainingJob, CreateHyperParameterTuningJob (HyperParameterTrainingJobDefinition has no entrypoint of its
own, so trials are started by the toolkit inside Amazon's containers), S3DataSource (ManifestFile), StoppingCondition.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cxr.cloud.aws.offers import MAXIMUM_WAIT_SECONDS, training_seconds
from cxr.cloud.connection import Connection
from cxr.cloud.hardware import Hardware
from cxr.cloud.plans.launch import LaunchPlan
from cxr.cloud.trainer.job import METRIC, WEIGHTS_WORDS, CustomOptions, job_output_url
from cxr.cloud.trainer.wheel import WHEEL_NAME, build_wheel
from cxr.cloud.uploading import put_manifest
from cxr.errors import NotAllowed, UsageError
from cxr.manifests.manifest import Manifest

#: What the container runs. Its first argument is the wheel: nothing is ever pasted into the shell's text. It is
#: installed by force first: pip would leave a cxr of the same version that the image has. The container has TensorFlow,
#: and S3 is mounted: the trainer needs no extra.
START_SCRIPT: Final = (
    'python3 -m pip install --no-deps --force-reinstall "$1" && python3 -m pip install "$1" && shift'
    ' && exec python3 -m cxr.local_baseline.trainer "$@"'
)
CHANNELS: Final = "/opt/ml/input/data"
#: Splits that travel to the job: the test images stay where they are.
TRAINED_ON: Final = ("train", "validation")
#: Metric -> how it stands in the trainer's log (its line of an epoch, and the last line: the bundle's own figure).
METRICS: Final[Mapping[str, str]] = {
    METRIC: r"validation AUC ([0-9\.]+)",
    "epoch_val_auc": r"val_auc ([0-9\.]+)",
    "epoch_val_loss": r"val_loss ([0-9\.]+)",
    "epoch_loss": r"epoch \d+/\d+ loss ([0-9\.]+)",
}
_PROGRAM: Final = "cxr_train.py"
_PROGRAM_TEXT: Final = (
    '"""Starts the trainer that was installed beside this file."""\n\n'
    'import runpy\n\nrunpy.run_module("cxr.local_baseline.trainer", run_name="__main__", alter_sys=True)\n'
)


def check_role(connection: Connection) -> str:
    """The ARN that jobs run as. Raises UsageError when none is set."""
    if not connection.role:
        raise UsageError(
            "no role is set for SageMaker's jobs to run as",
            hint='role = "arn:aws:iam::ACCOUNT:role/NAME" in cxr.toml, or CXR_ROLE; it needs the bucket and '
            "SageMaker's trust",
        )
    if not connection.role.startswith("arn:"):
        raise UsageError(f"{connection.role!r} is no ARN of a role", hint="arn:aws:iam::ACCOUNT:role/NAME")
    return connection.role


def send_inputs(plan: LaunchPlan, manifest: Manifest, options: CustomOptions) -> str:
    """Send the wheel, the list of the images that travel, the job's own copy of the manifest and a weights file;
    returns the trainer's `weights`."""
    connection = plan.connection
    store = connection.store(f"jobs/{plan.job_id}")
    store.replace_bytes(f"trainer/{WHEEL_NAME}", build_wheel(), content_type="application/zip")
    store.replace_bytes("trainer-source/sourcedir.tar.gz", source_archive(), content_type="application/gzip")
    store.replace_bytes("images.manifest", image_list(connection, manifest), content_type="application/json")
    # The job's own copy: the one beside the images follows later uploads, a queued job must not.
    put_manifest(connection.store(f"jobs/{plan.job_id}/manifest"), manifest, connection.images_url)
    if options.weights in WEIGHTS_WORDS:
        return options.weights
    path = Path(options.weights)
    store.replace_file(f"weights/{path.name}", path)
    return path.name


def image_list(connection: Connection, manifest: Manifest) -> bytes:
    """A ManifestFile (S3DataSource) of the images to train on."""
    frame = manifest.frame
    paths = frame.loc[frame["split"].isin(TRAINED_ON), "path"]
    return json.dumps([{"prefix": f"{connection.images_url}/"}, *(str(path) for path in paths)]).encode()


def source_archive() -> bytes:
    """`sourcedir.tar.gz`: what the toolkit of Amazon's containers unpacks, installs and runs."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, data in (
            (_PROGRAM, _PROGRAM_TEXT.encode()),
            ("requirements.txt", f"./{WHEEL_NAME}\n".encode()),
            (WHEEL_NAME, build_wheel()),
        ):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o644
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def hyperparameters(options: CustomOptions, weights: str) -> dict[str, str]:
    """What the trainer is told; every other name than its options' is a change of the recipe."""
    told = {
        "manifest": "manifest.csv",
        "recipe": options.recipe,
        "seed": str(options.seed),
        "weights": weights,
        "name": f"gpu-{options.recipe}",
    }
    if options.epochs is not None:
        told["epochs"] = str(options.epochs)
    for change in options.overrides:
        key, _, value = change.partition("=")
        told[key] = value
    return told


def container(options: CustomOptions) -> dict[str, Any]:
    """AlgorithmSpecification of a training job."""
    return {
        **algorithm(options),
        "ContainerEntrypoint": ["sh", "-c", START_SCRIPT, "trainer"],
        "ContainerArguments": [f"{CHANNELS}/trainer/{WHEEL_NAME}"],
    }


def algorithm(options: CustomOptions) -> dict[str, Any]:
    """What a trial's specification has of it, too."""
    return {
        "TrainingImage": options.image,
        "TrainingInputMode": "File",
        "MetricDefinitions": [{"Name": name, "Regex": regex} for name, regex in METRICS.items()],
    }


def toolkit_parameters(plan: LaunchPlan) -> dict[str, str]:
    """What the toolkit is told, as the SDK of Amazon's writes it: JSON in text."""
    said = {
        "sagemaker_program": _PROGRAM,
        "sagemaker_submit_directory": f"{job_output_url(plan)}/trainer-source/sourcedir.tar.gz",
        "sagemaker_container_log_level": 20,
        "sagemaker_region": plan.connection.region,
        "sagemaker_job_name": plan.job_id,
    }
    return {key: json.dumps(value) for key, value in said.items()}


def channels(plan: LaunchPlan, options: CustomOptions) -> list[dict[str, Any]]:
    """InputDataConfig: what lies below /opt/ml/input/data when the trainer starts, whole on every machine."""
    base = job_output_url(plan)
    found = [
        _channel("training", "ManifestFile", f"{base}/images.manifest"),
        _channel("manifest", "S3Prefix", f"{base}/manifest/"),
        _channel("trainer", "S3Prefix", f"{base}/trainer/"),
    ]
    if options.weights not in WEIGHTS_WORDS:
        found.append(_channel("weights", "S3Prefix", f"{base}/weights/"))
    return found


def machines(hardware: Hardware) -> dict[str, Any]:
    """ResourceConfig."""
    return {
        "InstanceType": hardware.machine,
        "InstanceCount": hardware.replicas,
        "VolumeSizeInGB": hardware.disk_gb,
    }


def limits(options: CustomOptions, url: str) -> dict[str, Any]:
    """How long it may run, on which capacity, and where its checkpoints are kept. A spot job may wait as long for its
    machines as it may run, up to what a job may take."""
    seconds = training_seconds(options.timeout_hours)
    spot = options.hardware.spot
    wait = {"MaxWaitTimeInSeconds": min(2 * seconds, MAXIMUM_WAIT_SECONDS)} if spot else {}
    return {
        "StoppingCondition": {"MaxRuntimeInSeconds": seconds, **wait},
        "EnableManagedSpotTraining": spot,
        "CheckpointConfig": {"S3Uri": f"{url}/checkpoints"},
    }


def check_requests(told: Mapping[str, str]) -> None:
    """Raises UsageError for what CreateTrainingJob refuses: more than 100 hyperparameters, or a value that is longer
    than 2,500 characters."""
    longest = max((len(value) for value in told.values()), default=0)
    if len(told) > 100 or longest > 2500:
        raise UsageError(
            f"{len(told)} hyperparameters, the longest of {longest:,} characters: SageMaker takes 100 of 2,500",
            hint="fewer --set, or a recipe's own file",
        )


def _channel(name: str, kind: str, url: str) -> dict[str, Any]:
    source = {"S3DataType": kind, "S3Uri": url, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, "InputMode": "File"}


def quota_words(error: NotAllowed, hardware: Hardware) -> NotAllowed:
    """The refusal of a quota, with the quota's name as Service Quotas has it."""
    if "quota" in error.message:
        use = "spot training job usage" if hardware.spot else "training job usage"
        error.hint = f"ask for more of “{hardware.machine} for {use}” in Service Quotas, or another --machine"
    return error
