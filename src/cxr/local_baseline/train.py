"""From a manifest and a recipe to a finished bundle."""

from __future__ import annotations

import csv
import platform
import shlex
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from cxr.bundle import Bundle, BundleInfo, ModelFormat, Threshold, read_bundle, write_bundle
from cxr.errors import InputError
from cxr.folders import replaced_folder
from cxr.local_baseline.cache import Progress, cached_images
from cxr.local_baseline.exports.saved_model import export_saved_model
from cxr.local_baseline.fitting import EpochResult, OnEpoch
from cxr.local_baseline.operating_scores import operating_scores
from cxr.local_baseline.pipeline import TrainingData, smallest_batch
from cxr.local_baseline.recipes import OperatingPoint, Recipe
from cxr.local_baseline.request import TrainRequest, check_request, fingerprint, recipe_of
from cxr.local_baseline.stages import Surroundings, Trained, run_stages
from cxr.local_baseline.supervision import finer_classes, supervision_in_words
from cxr.local_baseline.teaching import check_teachers, trained_teachers
from cxr.local_baseline.tensorflow_setup import versions
from cxr.local_baseline.threshold import roc_auc, youden_threshold
from cxr.manifests.manifest import Manifest
from cxr.version import __version__

HISTORY_FILE = "training.csv"
MODEL_PATHS = {ModelFormat.KERAS: "model.keras", ModelFormat.SAVED_MODEL: "saved_model"}


def train(
    request: TrainRequest,
    on_progress: Progress,
    on_epoch: OnEpoch | None = None,
    surroundings: Surroundings | None = None,
) -> Bundle:
    """Train what `request` asks for and return the bundle at `request.output`.

    A finished bundle of the same request is returned untouched. Anything else at that place is replaced only when it
    is a bundle, and only when the new one is whole. `on_progress(done, total, note)` hears of decoding and of every
    step, `on_epoch` of each epoch; `surroundings` are checkpoints to continue from and replicas to train on.

    Raises UsageError (unknown recipe or override, weights for a recipe without any, more replicas than images in a
    batch), InputError (a split or a file missing), Fault (the loss is not a number, the disk is full).
    """
    recipe = recipe_of(request)
    check_request(request, recipe)
    check_teachers(request, recipe)
    if surroundings is not None:
        surroundings.replicas.check_batches(smallest_batch(len(_rows(request.manifest, "train")), recipe.batch_size))
    mark = fingerprint(request, recipe)
    finished = finished_bundle(request.output, mark)
    if finished:
        return finished
    with replaced_folder(request.output) as folder:
        data = training_data(request, recipe, on_progress)
        teachers = trained_teachers(request, recipe, _train_teacher, on_progress, surroundings)
        positive = request.manifest.classes.index(request.manifest.positive_class)
        trained = run_stages(
            recipe,
            data,
            weights=request.weights,
            epochs=request.epochs,
            seed=request.seed,
            positive=positive,
            on_progress=on_progress,
            on_epoch=on_epoch or _ignore,
            surroundings=surroundings,
            teachers=teachers,
        )
        write_history(trained.history, folder / HISTORY_FILE)
        _write_model(trained.model, request.format, folder)
        info = _describe(request, recipe, trained, data, positive, mark)
        if teachers:
            lines = [teacher.described for teacher in teachers]
            info = replace(info, provenance={**info.provenance, "teachers": lines})
        write_bundle(folder, info)
    return read_bundle(request.output, verify=False)


def _train_teacher(request: TrainRequest, on_progress: Progress, surroundings: Surroundings | None) -> Bundle:
    return train(request, on_progress, surroundings=surroundings)


def finished_bundle(output: Path, mark: str) -> Bundle | None:
    """The bundle at `output` if it is whole and has that fingerprint."""
    try:
        bundle = read_bundle(output)
    except InputError:
        return None
    return bundle if bundle.info.provenance.get("fingerprint") == mark else None


def training_data(request: TrainRequest, recipe: Recipe, on_progress: Progress) -> TrainingData:
    """The decoded images and the rows of the manifest's train and validation splits."""
    manifest = request.manifest
    images = cached_images(manifest, request.images, recipe.preprocessing, request.cache_dir, on_progress)
    numbers = {label: number for number, label in enumerate(manifest.classes)}
    return TrainingData(
        images=images,
        labels=manifest.frame["label"].map(numbers).to_numpy().astype(np.int64),
        train=_rows(manifest, "train"),
        validation=_rows(manifest, "validation"),
        classes=len(manifest.classes),
        finer=finer_classes(manifest, recipe.supervision),
    )


def write_history(history: tuple[EpochResult, ...], path: Path) -> None:
    """One line an epoch, as CSV."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(EpochResult)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(result) for result in history)


def _ignore(result: EpochResult) -> None:
    del result


def _rows(manifest: Manifest, split: str) -> Any:
    return np.flatnonzero((manifest.frame["split"] == split).to_numpy())


def _write_model(model: Any, form: ModelFormat, folder: Path) -> None:
    path = folder / MODEL_PATHS[form]
    if form is ModelFormat.KERAS:
        model.save(path)
    else:
        export_saved_model(model, path)


def _describe(
    request: TrainRequest, recipe: Recipe, trained: Trained, data: TrainingData, positive: int, mark: str
) -> BundleInfo:
    classes = request.manifest.classes
    threshold, auc = _operating_point(trained.model, data, positive, recipe.operating_point)
    return BundleInfo(
        name=request.name or recipe.name,
        origin=request.origin,
        format=request.format,
        model_path=MODEL_PATHS[request.format],
        classes=classes,
        positive_class=request.manifest.positive_class,
        preprocessing=recipe.preprocessing,
        threshold=threshold,
        manifest_hash=request.manifest.hash,
        task="binary" if len(classes) == 2 else "multiclass",
        provenance={
            "recipe": recipe.name,
            "overrides": dict(request.overrides),
            "seed": request.seed,
            "weights": _weights_in_words(request.weights),
            "epochs_requested": request.epochs,
            "epochs_run": len(trained.history),
            "supervision": supervision_in_words(recipe.supervision, data.finer),
            "best_stage": trained.best_stage,
            "best_epoch": trained.best_epoch,
            "validation_auc": auc,
            "training_seconds": round(trained.seconds, 1),
            "images_per_second": round(trained.images_seen / max(trained.seconds, 1e-3), 1),
            "parameters": int(trained.model.count_params()),
            "deviations": list(recipe.deviations),
            "fingerprint": mark,
            "command": shlex.join(sys.argv),
        },
        versions={
            "cxr": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "pillow": PIL.__version__,
            **versions(),
        },
    )


def _operating_point(model: Any, data: TrainingData, positive: int, where: OperatingPoint) -> tuple[Threshold, float]:
    """The threshold, chosen where the recipe says, and the AUC of the validation split."""
    chosen = operating_scores(model, data, where)
    threshold = youden_threshold(chosen.probabilities[:, positive], chosen.labels == positive, chosen.chosen_on)
    # The validation images come first, as they are.
    count = len(data.validation)
    return threshold, roc_auc(chosen.probabilities[:count, positive], chosen.labels[:count] == positive)


def _weights_in_words(weights: str) -> str:
    """The weights' name without the folder, which says nothing elsewhere."""
    return Path(weights).name if "/" in weights else weights
