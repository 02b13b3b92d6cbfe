"""A bundle without a model: what somebody else's model answered for one manifest's split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cxr.bundle import Bundle, BundleInfo, ModelFormat, Origin, Preprocessing, Threshold, read_bundle, write_bundle
from cxr.compare.predictions.table import (
    KEY_COLUMNS,
    PROBABILITY_PREFIX,
    Predictions,
    PredictionsHeader,
    write_predictions,
)
from cxr.compare.predictions.versions import installed_versions
from cxr.compare.predictors.base import Probabilities
from cxr.folders import check_own_files, replaced_folder
from cxr.labels import task_of
from cxr.manifests.manifest import Manifest

#: The folder of the predictions in their bundle.
FOLDER = "predictions"
#: A bundle needs a contract; this one was not used, which the provenance says.
UNUSED_CONTRACT = Preprocessing(height=224, width=224, channels=3)
CONTRACT_NOTE = "the model's own, unknown here; the contract of this bundle was not used"


@dataclass(frozen=True, slots=True)
class Answers:
    """Who answered and what: calibrated or raw `probabilities` float64 [N, K] in the order of the split's rows and of
    `classes`, and the threshold that decides."""

    name: str
    origin: Origin
    split: str
    classes: tuple[str, ...]
    probabilities: Probabilities
    threshold: Threshold
    stand_in: bool = False
    preprocessing: Preprocessing = UNUSED_CONTRACT
    provenance: Mapping[str, Any] = field(default_factory=dict)
    cost: Mapping[str, Any] = field(default_factory=dict)


def write_answers(folder: Path, manifest: Manifest, answers: Answers) -> Bundle:
    """The bundle at `folder`, which appears whole or not at all. Raises what `replaced_folder` and `check_own_files`
    raise."""
    check_own_files(folder)
    frame = manifest.split(answers.split)[KEY_COLUMNS].reset_index(drop=True)
    for column, name in enumerate(answers.classes):
        frame[PROBABILITY_PREFIX + name] = answers.probabilities[:, column]
    versions = installed_versions()
    task = task_of(answers.classes)
    header = PredictionsHeader(
        bundle_hash="",  # the bundle is written after its predictions
        bundle_name=answers.name,
        manifest_hash=manifest.hash,
        task=task,
        split=answers.split,
        classes=answers.classes,
        latency_ms=None,
        stand_in=answers.stand_in,
        images=len(frame),
        versions=versions,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    info = BundleInfo(
        name=answers.name,
        origin=answers.origin,
        format=ModelFormat.PREDICTIONS,
        model_path=FOLDER,
        classes=answers.classes,
        positive_class=manifest.positive_class,
        task=task,
        preprocessing=answers.preprocessing,
        threshold=answers.threshold,
        manifest_hash=manifest.hash,
        stand_in=answers.stand_in,
        provenance={"preprocessing": CONTRACT_NOTE, **answers.provenance},
        versions={"cxr": versions["cxr"]},
        cost=dict(answers.cost),
    )
    with replaced_folder(folder) as staging:
        write_predictions(Predictions(frame, header), staging / FOLDER)
        write_bundle(staging, info)
    return read_bundle(folder)
