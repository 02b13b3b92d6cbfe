"""What a model on the service answered, as a bundle that `cxr compare` takes: predictions without a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cxr.bundle import Bundle, ModelFormat, Origin, read_bundle
from cxr.cloud.exporting.automl import SERVICE_THRESHOLD
from cxr.cloud.predicting.scores import SPLIT, Scores
from cxr.compare.predictions.bundle import Answers
from cxr.compare.predictions.bundle import write_answers as write_predictions_bundle
from cxr.errors import InputError, UsageError
from cxr.folders import check_own_files, check_replaceable, check_writable
from cxr.importing.contracts import AUTOML_PREPROCESSING
from cxr.manifests.manifest import Manifest


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
    rows = [scores.rows[path] for path in manifest.split(SPLIT)["path"]]
    answers = Answers(
        name=answered.name,
        origin=Origin.AUTOML,
        split=SPLIT,
        classes=scores.classes,
        probabilities=np.array(rows, dtype=np.float64).reshape(len(rows), len(scores.classes)),
        threshold=SERVICE_THRESHOLD,
        stand_in=answered.stand_in,
        preprocessing=AUTOML_PREPROCESSING,
        provenance={
            **answered.provenance,
            "predicted": answered.way,
            "preprocessing": "the service's own, on the files as they are; the contract above was not used",
        },
        cost=answered.cost,
    )
    return write_predictions_bundle(folder, manifest, answers)
