"""From a manifest and a recipe to a finished bundle."""

from __future__ import annotations

import csv
import platform
import shlex
import sys
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from cxr.bundle import Bundle, BundleInfo, ModelFormat, read_bundle, write_bundle
from cxr.errors import InputError, MissingPackage
from cxr.folders import replaced_folder
from cxr.local_baseline.exports.saved_model import export_saved_model
from cxr.local_baseline.images.cache import cached_images
from cxr.local_baseline.images.shard_source import sharded_images
from cxr.local_baseline.judging.operating_point import choose_operating_point
from cxr.local_baseline.judging.operating_scores import operating_scores
from cxr.local_baseline.judging.threshold import roc_auc
from cxr.local_baseline.recipes import Recipe
from cxr.local_baseline.request import TrainRequest, check_request, fingerprint, recipe_of
from cxr.local_baseline.tensorflow_setup import make_deterministic, versions
from cxr.local_baseline.training.curves import write_curves
from cxr.local_baseline.training.failures import told_out_of_memory, told_unwritable
from cxr.local_baseline.training.fitting import EpochResult, OnEpoch
from cxr.local_baseline.training.pipeline import TrainingData, smallest_batch
from cxr.local_baseline.training.stages import Surroundings, Trained, run_stages
from cxr.local_baseline.training.supervision import finer_classes, supervision_in_words
from cxr.local_baseline.training.teaching import check_teachers, trained_teachers
from cxr.manifests.manifest import Manifest
from cxr.progress import Progress
from cxr.version import __version__

HISTORY_FILE = "training.csv"
CURVES_FILE = "training.png"
MODEL_PATHS = {ModelFormat.KERAS: "model.keras", ModelFormat.SAVED_MODEL: "saved_model"}


def train(
    request: TrainRequest,
    on_progress: Progress,
    on_epoch: OnEpoch | None = None,
    surroundings: Surroundings | None = None,
    *,
    fresh: bool = False,
) -> Bundle:
    """Train what `request` asks for and return the bundle at `request.output`.

    A finished bundle of the same request is returned untouched, unless `fresh` (a finished teacher likewise). Anything
    else at that place is replaced only when it is a bundle, and only when the new one is whole.
    `on_progress(done, total, note)` hears of decoding and of every step, `on_epoch` of each epoch; `surroundings` are
    checkpoints to continue from and replicas to train on.

    Raises UsageError (unknown recipe or override, weights for a recipe without any, more replicas than images in a
    batch), InputError (a split or a file missing), Fault (the loss is not a number, the disk or the memory is full).
    """
    recipe = recipe_of(request)
    check_request(request, recipe)
    check_teachers(request, recipe)
    if surroundings is not None:
        surroundings.replicas.check_batches(smallest_batch(len(_rows(request.manifest, "train")), recipe.batch_size))
    mark = fingerprint(request, recipe)
    finished = None if fresh else finished_bundle(request.output, mark)
    if finished:
        return finished
    around = surroundings or Surroundings()
    if request.deterministic:
        make_deterministic()
    with replaced_folder(request.output) as folder:
        data = training_data(request, recipe, on_progress, around)
        positive = request.manifest.classes.index(request.manifest.positive_class)
        with told_out_of_memory(recipe.batch_size):
            teachers = trained_teachers(request, recipe, partial(_train_teacher, fresh), on_progress, surroundings)
            trained = run_stages(
                recipe,
                data,
                weights=request.weights,
                epochs=request.epochs,
                seed=request.seed,
                positive=positive,
                on_progress=on_progress,
                on_epoch=on_epoch or _ignore,
                surroundings=around,
                teachers=teachers,
            )
            described = _describe(request, recipe, trained, data, positive, mark)
            if teachers:
                lines = [teacher.described for teacher in teachers]
                described = replace(described, provenance={**described.provenance, "teachers": lines})
        with told_unwritable(request.output, "the bundle"):
            write_history(trained.history, folder / HISTORY_FILE)
            _draw_curves(trained, folder / CURVES_FILE, around)
            _write_model(trained.model, request.format, folder)
            write_bundle(folder, described)
    return read_bundle(request.output, verify=False)


def _train_teacher(
    fresh: bool, request: TrainRequest, on_progress: Progress, surroundings: Surroundings | None
) -> Bundle:
    return train(request, on_progress, surroundings=surroundings, fresh=fresh)


def _command() -> str:
    """The command line, without where this machine keeps its programs: bundles are shown to others."""
    program, *arguments = sys.argv
    name = Path(program).name
    return shlex.join(["cxr" if name == "__main__.py" else name, *arguments])


def finished_bundle(output: Path, mark: str) -> Bundle | None:
    """The bundle at `output` if it is whole and has that fingerprint."""
    try:
        bundle = read_bundle(output)
    except InputError:
        return None
    return bundle if bundle.info.provenance.get("fingerprint") == mark else None


def training_data(
    request: TrainRequest, recipe: Recipe, on_progress: Progress, surroundings: Surroundings | None = None
) -> TrainingData:
    """The decoded images and the rows of the manifest's train and validation splits. From shards each of several
    machines decodes a part of the training images only."""
    around = surroundings or Surroundings()
    manifest, cluster = request.manifest, around.replicas.cluster
    train, validation = _rows(manifest, "train"), _rows(manifest, "validation")
    shards = sharded_images(manifest, request.images) if cluster.processes > 1 else None
    groups = shards.owners("train", train, cluster.processes) if shards is not None else None
    numbers = {label: number for number, label in enumerate(manifest.classes)}
    data = TrainingData(
        images=np.empty(0, np.uint8),
        labels=manifest.frame["label"].map(numbers).to_numpy().astype(np.int64),
        train=train,
        validation=validation,
        classes=len(manifest.classes),
        finer=finer_classes(manifest, recipe.supervision),
        groups=groups,
        here=cluster.index,
    )
    images = cached_images(
        manifest,
        request.images,
        recipe.preprocessing,
        request.cache_dir,
        on_progress,
        rows=np.concatenate([data.train_here(), validation]),
        verify=request.verify_cache,
        say=around.say,
    )
    return replace(data, images=images)


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


def _draw_curves(trained: Trained, path: Path, around: Surroundings) -> None:
    try:
        write_curves(trained.history, trained.best_stage, trained.best_epoch, path)
    except MissingPackage as error:
        around.say(f"no {path.name}: {error.message} (next: {error.hint})")


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
    chosen = operating_scores(trained.model, data, recipe.operating_point)
    point = choose_operating_point(chosen.probabilities, chosen.labels, positive, chosen.chosen_on)
    # The validation images come first, as they are.
    scores, truth = chosen.probabilities[: len(data.validation)], data.labels[data.validation]
    return BundleInfo(
        name=request.name or recipe.name,
        origin=request.origin,
        format=request.format,
        model_path=MODEL_PATHS[request.format],
        classes=classes,
        positive_class=request.manifest.positive_class,
        preprocessing=recipe.preprocessing,
        threshold=point.threshold,
        calibration=point.calibration,
        manifest_hash=request.manifest.hash,
        task="binary" if len(classes) == 2 else "multiclass",
        provenance={
            "recipe": recipe.name,
            "overrides": dict(request.overrides),
            "seed": request.seed,
            "deterministic": request.deterministic,
            "weights": _weights_in_words(request.weights),
            "epochs_requested": request.epochs,
            "epochs_run": len(trained.history),
            "supervision": supervision_in_words(recipe.supervision, data.finer),
            "best_stage": trained.best_stage,
            "best_epoch": trained.best_epoch,
            "validation_auc": roc_auc(scores[:, positive], truth == positive),
            "training_seconds": round(trained.seconds, 1),
            "images_per_second": round(trained.images_seen / max(trained.seconds, 1e-3), 1),
            "parameters": int(trained.model.count_params()),
            "deviations": list(recipe.deviations),
            # Of what ended early another training could still be made.
            "fingerprint": f"{mark}-ended-early" if trained.ended_early else mark,
            "ended_early": trained.ended_early,
            "command": _command(),
        },
        versions={
            "cxr": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "pillow": PIL.__version__,
            **versions(),
        },
    )


def _weights_in_words(weights: str) -> str:
    """The weights' name without the folder, which says nothing elsewhere."""
    return Path(weights).name if "/" in weights else weights
