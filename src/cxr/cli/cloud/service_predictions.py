"""What a model on the service answered, as a bundle that `cxr compare` takes: predictions without a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cxr.bundle import Bundle, BundleInfo, ModelFormat, Origin, read_bundle, write_bundle
from cxr.cloud.exporting.automl import SERVICE_THRESHOLD
from cxr.cloud.scores import SPLIT, Scores
from cxr.compare.predictions import (
    KEY_COLUMNS,
    PROBABILITY_PREFIX,
    Predictions,
    PredictionsHeader,
    write_predictions,
)
from cxr.compare.versions import installed_versions
from cxr.errors import InputError, UsageError
from cxr.folders import check_own_files, check_replaceable, check_writable, replaced_folder
from cxr.importing.contracts import AUTOML_PREPROCESSING
from cxr.labels import task_of
from cxr.manifests.manifest import Manifest

#: The folder of the predictions in their bundle.
FOLDER = "predictions"


@dataclass(frozen=True, slots=True)
class Answered:
    """Who answered: the name in tables, the emulator's stand-in or not, the way (batch or online), resources, cost."""

    name: str
    stand_in: bool
    way: str
    provenance: Mapping[str, Any]
    cost: Mapping[str, Any]


def check_place(folder: Path, job_id: str, *, force: bool) -> None:
    """Raises UsageError for a folder that holds something else than predictions of the job's model, unless `force` and
    it is a bundle; also when there are files that are not the bundle's. NotAllowed where nothing can be written."""
    check_writable(folder)
    if folder.is_dir() and any(folder.iterdir()) and not force and not _is_of(folder, job_id):
        raise UsageError(f"{folder} is not empty", hint="choose another --out, or replace the bundle there: --force")
    check_replaceable(folder)
    check_own_files(folder)


def _is_of(folder: Path, job_id: str) -> bool:
    try:
        there = read_bundle(folder, verify=False).info
    except InputError:
        return False
    return there.format is ModelFormat.PREDICTIONS and there.provenance.get("job") == job_id


def write_answers(folder: Path, manifest: Manifest, scores: Scores, answered: Answered) -> Bundle:
    """The answers for the manifest's test split as a bundle at `folder`, which appears whole or not at all."""
    frame = manifest.split(SPLIT)[KEY_COLUMNS].reset_index(drop=True)
    for column, name in enumerate(scores.classes):
        frame[PROBABILITY_PREFIX + name] = [scores.rows[path][column] for path in frame["path"]]
    header = PredictionsHeader(
        bundle_hash="",  # the bundle is written after its predictions
        bundle_name=answered.name,
        manifest_hash=manifest.hash,
        task=task_of(scores.classes),
        split=SPLIT,
        classes=scores.classes,
        latency_ms=None,
        stand_in=answered.stand_in,
        images=len(frame),
        versions=installed_versions(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    info = BundleInfo(
        name=answered.name,
        origin=Origin.AUTOML,
        format=ModelFormat.PREDICTIONS,
        model_path=FOLDER,
        classes=scores.classes,
        positive_class=manifest.positive_class,
        task=task_of(scores.classes),
        preprocessing=AUTOML_PREPROCESSING,
        threshold=SERVICE_THRESHOLD,
        manifest_hash=manifest.hash,
        stand_in=answered.stand_in,
        provenance={
            **answered.provenance,
            "predicted": answered.way,
            "preprocessing": "the service's own, on the files as they are; the contract above was not used",
        },
        versions={"cxr": installed_versions()["cxr"]},
        cost=dict(answered.cost),
    )
    with replaced_folder(folder) as staging:
        write_predictions(Predictions(frame, header), staging / FOLDER)
        write_bundle(staging, info)
    return read_bundle(folder)
