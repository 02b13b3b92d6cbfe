"""Batch transform: Autopilot's model scores the manifest's test images in Amazon's own container.

Sources: CreateModel, CreateTransformJob, Batch transform (each input gives one object with `.out` behind its name);
Autopilot, Configure inference output in generated containers (SAGEMAKER_INFERENCE_OUTPUT and its four keys).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from cxr.cloud.aws.clients import InUseError, aws_errors, client
from cxr.cloud.aws.names import PREFIX, service_name, tags_of
from cxr.cloud.aws.offers import choose_hardware
from cxr.cloud.aws.sagemaker.custom import find_launched
from cxr.cloud.aws.sagemaker.job_kinds import describe, find, name_of
from cxr.cloud.aws.sagemaker.requests import check_role
from cxr.cloud.connection import Connection
from cxr.cloud.jobs.journal import Job
from cxr.cloud.jobs.launching import Submitted
from cxr.cloud.jobs.seen import PredictingModel
from cxr.cloud.plans.launch import JobKind, LaunchPlan, cost_of
from cxr.cloud.predicting.scores import SPLIT, Picture, Scores, pictures_of
from cxr.cloud.prices.predictions import WORST_FACTOR, batch_estimate
from cxr.cloud.prices.table import price_table
from cxr.documents import parse_json
from cxr.errors import CheckFailed, Fault, InputError, JobFailed
from cxr.manifests.manifest import Manifest

#: What scores: one machine without a GPU, as Autopilot's containers run anywhere.
MACHINE: Final = "ml.m5.xlarge"
#: What a container is asked to answer, for each image.
WANTED: Final = ("predicted_label", "probability", "probabilities", "labels")
#: The most that one request may carry (CreateTransformJob, MaxPayloadInMB).
LARGEST_MB: Final = 100
#: The mark in the name of a candidate that was not trained by Amazon.
STAND_IN: Final = "stand-in"


def predicting_model(connection: Connection, job: Job) -> PredictingModel:
    """The best candidate of an Autopilot job. Raises JobFailed when there is none."""
    candidate = _candidate(connection, job.resource)
    name = str(candidate["CandidateName"])
    return PredictingModel(name, in_batches=True, online=False, stand_in=STAND_IN in name)


def plan_transform(
    connection: Connection, manifest: Manifest, model: str, trained_by: str, *, attempt: int = 1
) -> LaunchPlan:
    """The plan of one batch transform of the manifest's test split. Nothing is asked of the service.

    `model` is the candidate's name, `trained_by` the id of the job that made it. Raises InputError for a split without
    images, or of images that one batch cannot take.
    """
    check_role(connection)
    pictures = batch_of(manifest)
    estimate = batch_estimate(len(pictures))
    price = price_table(None, connection.provider.prices).hardware(choose_hardware(MACHINE, disk_gb=30))
    url = f"{connection.base_url}/predictions/{{job}}"
    return LaunchPlan(
        kind=JobKind.BATCH,
        connection=connection,
        manifest_hash=manifest.hash,
        request={"model": model, "trained_by": trained_by, "split": SPLIT, "images": len(pictures)},
        cost=cost_of(
            price,
            worst_hours=estimate.worst_hours,
            expected_hours=estimate.expected_hours,
            basis=estimate.basis,
        ),
        shown=(
            ("model", f"{model}, of {trained_by}"),
            ("images", f"{len(pictures):,} of the {SPLIT} split"),
            ("machine", f"{MACHINE}, no GPU"),
        ),
        makes=(("model", f"{PREFIX}{{job}}"), ("batch transform", "{job}"), ("folder", url)),
        leaves_behind=(f"the list of images and answers under {url}", "the model, which costs nothing by itself"),
        attempt=attempt,
        notes=(
            f"the service has no limit of time for a transform: the worst case is {WORST_FACTOR:g} times what is "
            "expected, and no bound",
        ),
    )


def submit_transform(plan: LaunchPlan, manifest: Manifest, *, on_step: Callable[[str], None]) -> Submitted:
    """Write the list of images, make the model and the job, return its ARN at once. An earlier job of the same plan
    has its name, and is returned instead."""
    connection, name = plan.connection, service_name(plan)
    if earlier := find_launched(plan):
        return Submitted(earlier.resource, found=True)
    pictures = pictures_of(manifest)
    on_step(f"listing {len(pictures):,} images")
    url = f"{connection.base_url}/predictions/{plan.job_id}"
    listed = [{"prefix": f"{connection.images_url}/"}, *(picture.path for picture in pictures)]
    connection.store(f"predictions/{plan.job_id}").replace_bytes("images.manifest", json.dumps(listed).encode())
    _make_model(plan, name)
    body = {
        "TransformJobName": name,
        "ModelName": name,
        "MaxPayloadInMB": LARGEST_MB,
        "MaxConcurrentTransforms": 1,
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": f"{url}/images.manifest"}},
            "ContentType": content_type(pictures),
            "SplitType": "None",
            "CompressionType": "None",
        },
        "TransformOutput": {"S3OutputPath": f"{url}/answers", "Accept": "application/json"},
        "TransformResources": {"InstanceType": MACHINE, "InstanceCount": 1},
        "Tags": tags_of(plan.labels),
    }
    try:
        with aws_errors("create the batch transform"):
            made = client(connection, "sagemaker").create_transform_job(**body)
    except InUseError:  # another process was quicker
        return Submitted(find(connection, JobKind.BATCH, name).resource, found=True)
    return Submitted(str(made["TransformJobArn"]))


def read_scores(connection: Connection, job: Job, manifest: Manifest) -> Scores:
    """The probabilities that a finished transform wrote. Raises CheckFailed when an image of the test split has none,
    has two that differ, or one was answered that was not asked for; Fault when the service wrote nothing."""
    told = describe(connection, JobKind.BATCH, name_of(job.resource))
    folder = str((told.get("TransformOutput") or {}).get("S3OutputPath", "")).rstrip("/")
    store, scores, pictures = connection.open(folder), Scores(manifest.classes), pictures_of(manifest)
    paths = _paths_of(pictures)
    names = sorted(info.name for info in store.list() if info.name.endswith(".out"))
    if not names:
        raise Fault(f"there are no predictions at {folder}")
    for name in names:
        path = paths(name.removesuffix(".out"))
        if path is None:
            raise CheckFailed(
                f"{folder}/{name} tells of no {SPLIT} image of this manifest", hint="predict it anew: --again"
            )
        scores.add(path, answer_of(store.get_bytes(name), f"{folder}/{name}"))
    scores.check_complete(pictures)
    return scores


def answer_of(data: bytes, where: str) -> dict[str, Any]:
    """One answer as labels and confidences: a JSON object (perhaps in a list) or a CSV line of the four keys. Raises
    CheckFailed for anything else."""
    try:
        text = data.decode("utf-8").strip()
        told = parse_json(text) if text[:1] in "{[" and text else _csv_answer(text)
        told = told[0] if isinstance(told, list) else told
        told = told.get("predictions", [told])[0]
        labels, values = _listed(told["labels"]), _listed(told["probabilities"])
        return {"displayNames": [str(one) for one in labels], "confidences": [float(one) for one in values]}
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        start = data[:80].decode("utf-8", "replace")
        raise CheckFailed(
            f"{where} is no answer with {' and '.join(WANTED[2:])}: {start!r}", hint="predict it anew: --again"
        ) from error


def billed_hours(job: Job) -> float | None:
    """Hours from start to end; None when they are not known."""
    from cxr.cloud.aws.outputs import wall_hours

    return wall_hours(job)


def batch_of(manifest: Manifest) -> list[Picture]:
    """The images of the test split. Raises InputError when there is none, or one batch cannot take them: they are of
    several types, or one is larger than a request."""
    pictures = pictures_of(manifest)
    content_type(pictures)
    large = [picture for picture in pictures if picture.size > LARGEST_MB * 1_000_000]
    if large:
        raise InputError(f"{large[0].path} has {large[0].size / 1e6:.1f} MB, a batch takes {LARGEST_MB}")
    return pictures


def content_type(pictures: Sequence[Picture]) -> str:
    """The one type of a batch's images. Raises InputError when there are several."""
    types = sorted({picture.mime_type for picture in pictures})
    if len(types) != 1 or types[0] not in {"image/jpeg", "image/png"}:
        raise InputError(
            f"the {SPLIT} images are {', '.join(types)}: a batch transform takes JPEG or PNG, all alike",
            hint="convert them and scan again",
        )
    return types[0]


def _make_model(plan: LaunchPlan, name: str) -> None:
    connection = plan.connection
    trained_by = str(plan.request["trained_by"])
    containers = [
        {
            "Image": one["Image"],
            "ModelDataUrl": one["ModelDataUrl"],
            "Environment": {**one.get("Environment", {}), "SAGEMAKER_INFERENCE_OUTPUT": ",".join(WANTED)},
        }
        for one in _candidate(connection, f"{PREFIX}{trained_by}").get("InferenceContainers", ())
    ]
    if not containers:
        raise Fault(f"{trained_by} has a candidate without containers: nothing can predict with it")
    try:
        with aws_errors("make the model"):
            client(connection, "sagemaker").create_model(
                ModelName=name,
                Containers=containers,
                ExecutionRoleArn=check_role(connection),
                Tags=tags_of(plan.labels),
            )
    except InUseError:  # an earlier attempt has made it
        return
    except InputError as error:
        if "existing model" not in error.message:
            raise


def _candidate(connection: Connection, resource: str) -> Mapping[str, Any]:
    told = describe(connection, JobKind.AUTOML, name_of(resource))
    candidate: Mapping[str, Any] = told.get("BestCandidate") or {}
    if not candidate.get("CandidateName"):
        raise JobFailed(f"{name_of(resource)} has no best candidate", hint="cxr cloud jobs --refresh")
    return candidate


def _paths_of(pictures: Sequence[Picture]) -> Callable[[str], str | None]:
    """Finds the image of an answer: by its path, or by its name alone where the service has left the folders out."""
    whole = {picture.path for picture in pictures}
    by_name: dict[str, list[str]] = {}
    for path in whole:
        by_name.setdefault(path.rpartition("/")[2], []).append(path)

    def find_path(name: str) -> str | None:
        if name in whole:
            return name
        candidates = by_name.get(name, []) if "/" not in name else [path for path in whole if name.endswith(f"/{path}")]
        return candidates[0] if len(candidates) == 1 else None

    return find_path


def _csv_answer(text: str) -> dict[str, Any]:
    (row,) = csv.reader(io.StringIO(text))
    return dict(zip(WANTED, row, strict=True))


def _listed(value: Any) -> list[Any]:
    if isinstance(value, str):
        value = parse_json(value.replace("'", '"'))
    if not isinstance(value, list):
        raise TypeError("a list is needed")
    return value
