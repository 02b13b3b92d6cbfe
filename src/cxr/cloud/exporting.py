"""A finished job's model, brought home as a bundle."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from cxr.bundle import (
    Bundle,
    BundleInfo,
    ModelFormat,
    Origin,
    Preprocessing,
    Threshold,
    read_bundle,
    write_bundle,
)
from cxr.cloud.connection import Connection
from cxr.cloud.journal import Job
from cxr.cloud.plans import JobKind
from cxr.cloud.vertex.models import check_formats, export_model, get_model
from cxr.errors import Fault, JobFailed, RulerMismatch, UsageError
from cxr.folders import replaced_folder
from cxr.labels import positive_class
from cxr.storage.transfer.download import download_all
from cxr.version import __version__

#: The label that the emulator puts on models which Google's AutoML did not train.
STAND_IN_LABEL = ("cxr-emulator", "stand-in")
DEFAULT_FORMATS = ("tflite", "tf-js")
#: How the service's own readers prepare an image for its edge models: 224 x 224 RGB out of the largest centred square.
#: The TFLite model takes uint8 and scales inside; the TF.js model wants x / 127.5 - 1 from whoever feeds it.
AUTOML_PREPROCESSING = Preprocessing(224, 224, 3, "center-crop", scale=1 / 127.5, offset=-1.0, scale_inside_model=True)

#: What `preprocessing` says holds for the TFLite file; the TF.js file of the same bundle wants its input scaled.
TFJS_INPUT = {"input": "image:0", "output": "scores:0", "scale": 1 / 127.5, "offset": -1.0, "scale_inside_model": False}

Progress = Callable[[int, int, str], None]


def export_job(
    connection: Connection, job: Job, folder: Path, *, formats: Sequence[str], on_progress: Progress
) -> Bundle:
    """Bring the model of a finished job to `folder` as a bundle; nothing is left there when it fails.

    Raises JobFailed when the job did not succeed, UsageError for a format that the model does not have or a folder that
    is in use.
    """
    if not job.finished:
        raise UsageError(f"{job.id} has not ended yet: it is {job.state}", hint=f"cxr cloud wait {job.id}")
    if not job.succeeded:
        raise JobFailed(f"{job.id} has no model: it is {job.state}", hint=f"cxr cloud status {job.id}")
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty", hint="choose another --out")
    with replaced_folder(folder) as staging:
        if job.kind is JobKind.AUTOML:
            _automl_bundle(connection, job, staging, formats, on_progress)
        else:
            _custom_bundle(connection, job, staging, on_progress)
    return read_bundle(folder)


def _automl_bundle(
    connection: Connection, job: Job, folder: Path, formats: Sequence[str], on_progress: Progress
) -> None:
    model = get_model(connection, job.model)
    check_formats(model, formats)
    if "tflite" not in formats:
        raise UsageError("a bundle is scored through its TFLite file", hint="--to tflite,tf-js")
    for number, name in enumerate(formats):
        on_progress(number, len(formats), f"exporting {name}")
        url = export_model(connection, model, name, f"{connection.base_url}/exports/{job.id}")
        store = connection.open(url)
        download_all(store, folder / name, on_progress=lambda *_: None)
    on_progress(len(formats), len(formats), "")
    classes = _classes(folder)
    stand_in = model.labels.get(STAND_IN_LABEL[0]) == STAND_IN_LABEL[1]
    info = BundleInfo(
        name="automl-stand-in" if stand_in else "automl",
        origin=Origin.AUTOML,
        format=ModelFormat.TFLITE,
        model_path="tflite/model.tflite",
        classes=classes,
        positive_class=positive_class(classes),
        preprocessing=AUTOML_PREPROCESSING,
        threshold=Threshold(0.5, chosen_by="the service's default", chosen_on="nothing"),
        manifest_hash=job.manifest_hash,
        stand_in=stand_in,
        provenance=_provenance(job) | {"model": model.resource, "export_formats": list(formats), "tf-js": TFJS_INPUT},
        versions={"cxr": __version__},
        cost=_cost(job),
    )
    write_bundle(folder, info)


def _custom_bundle(connection: Connection, job: Job, folder: Path, on_progress: Progress) -> None:
    store = connection.open(f"{job.output_url}/model")
    if not download_all(store, folder, on_progress=on_progress):
        raise Fault(f"{job.id} succeeded but wrote nothing to {job.output_url}/model")
    trained = read_bundle(folder).info
    if trained.manifest_hash != job.manifest_hash:
        raise RulerMismatch(
            f"{job.id} was launched for manifest {job.manifest_hash[:16]} and trained on {trained.manifest_hash[:16]}",
            hint="launch it anew: cxr cloud train custom --again",
        )
    write_bundle(folder, replace(trained, provenance={**trained.provenance, **_provenance(job)}, cost=_cost(job)))


def _classes(folder: Path) -> tuple[str, ...]:
    """The labels in the order of the scored model's outputs: those in the TFLite file, and the others must agree."""
    dictionary = folder / "tf-js" / "dict.txt"
    beside = tuple(dictionary.read_text(encoding="utf-8").split()) if dictionary.is_file() else None
    inside = _tflite_labels(folder / "tflite" / "model.tflite")
    if inside and beside and inside != beside:
        raise Fault(f"the exports disagree on the order of the labels: {inside} in TFLite, {beside} in TensorFlow.js")
    classes = inside or beside
    if not classes:
        raise Fault("the exported TFLite model carries no labels", hint="export tf-js too: --to tflite,tf-js")
    return classes


def _tflite_labels(model: Path) -> tuple[str, ...] | None:
    # The labels of a TFLite file are a text file in the zip that is appended to the model.
    try:
        with zipfile.ZipFile(model) as archive:
            return tuple(archive.read(archive.namelist()[0]).decode().split())
    except (zipfile.BadZipFile, IndexError):
        return None


def _provenance(job: Job) -> dict[str, object]:
    return {"job": job.id, "resource": job.resource, "on": str(job.on), "launched": job.created, "ended": job.ended}


def _cost(job: Job) -> dict[str, object]:
    return {"worst_case_usd": round(job.worst_case_usd, 2), "billed": job.on != "emulator"}
