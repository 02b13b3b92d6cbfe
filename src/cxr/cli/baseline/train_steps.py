"""The steps of `cxr baseline train`: the manifest, the training, the figures."""

from __future__ import annotations

import json
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxr.about import RESEARCH_USE
from cxr.cli.baseline.evaluate import evaluate_command
from cxr.cli.baseline.image_folder import check_judgeable, manifest_of_folder
from cxr.cli.baseline.training_table import TrainingTable
from cxr.cli.options import DEFAULT_MANIFEST
from cxr.cli.out import Out
from cxr.errors import UsageError

if TYPE_CHECKING:
    from cxr.bundle import Bundle
    from cxr.local_baseline.request import TrainRequest
    from cxr.local_baseline.training.epochs import EpochResult
    from cxr.manifests.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Choices:
    """How a training is run, beside what is trained: see `cxr baseline train --help`. `checkpoints` is the folder of
    all trainings' checkpoints, `images` where the user says that the images are."""

    checkpoints: Path
    evaluate: bool
    fresh: bool
    finish: bool
    tensorboard: Path | None
    images: str | None


def run_training(out: Out, request: TrainRequest, choices: Choices) -> None:
    """Train, say what came out, and judge it when that was asked for."""
    bundle = _train(out, request, choices)
    location = request.manifest.location or DEFAULT_MANIFEST
    _print_bundle(out, bundle)
    judged = _evaluate(out, bundle, location, choices.images, request.cache_dir) if choices.evaluate else None
    payload = {"bundle": str(bundle.folder), "hash": bundle.hash, **asdict(bundle.info)}
    out.result("baseline.train", payload if judged is None else {**payload, "evaluation": judged})
    if not choices.evaluate:
        flag = "" if location == DEFAULT_MANIFEST else f" --manifest {location}"
        out.hint(f"cxr baseline evaluate {bundle.folder}{flag}")


def manifest_of(
    out: Out, manifest_path: Path | None, data: Path | None, state_dir: Path, *, is_judged: bool
) -> Manifest:
    """The manifest to train on: that of `--manifest`, or of the folder given with `--data`, with its test images there
    when the model `is_judged` later. Raises UsageError for both, InputError for what cannot be used."""
    from cxr.manifests.manifest_file import read_manifest

    if data is not None:
        if manifest_path is not None:
            raise UsageError("--data makes a manifest of its own", hint="give --data or --manifest")
        return manifest_of_folder(out, data, state_dir, is_judged=is_judged)
    manifest = read_manifest(manifest_path or DEFAULT_MANIFEST)
    if is_judged:
        check_judgeable(manifest)
    return manifest


def _train(out: Out, request: TrainRequest, choices: Choices) -> Bundle:
    # TensorFlow takes three seconds to load: only when there is something to train.
    from cxr.local_baseline.local_training import Listeners, train_here
    from cxr.local_baseline.request import recipe_of
    from cxr.local_baseline.training.tensorboard import TensorBoardLog

    stages = recipe_of(request).stages_with(request.weights)
    table = TrainingTable(out, {stage.trains.value: stage.early_stopping for stage in stages})
    board = TensorBoardLog(str(choices.tensorboard), out.say) if choices.tensorboard else None
    before = 0

    def on_resume(history: tuple[EpochResult, ...]) -> None:
        nonlocal before
        before = len(history)
        table.on_resume(history)

    def on_epoch(result: EpochResult) -> None:
        table.on_epoch(result)
        if board is not None:
            board.on_epoch(before + table.epochs, result)

    with out.progress(f"train {request.recipe}") as advance:

        def on_progress(done: int, total: int, note: str) -> None:
            if note == "decoding":
                table.begin()
            advance(done, total, note)

        listeners = Listeners(on_progress, on_epoch, on_resume, out.say)
        bundle = train_here(request, choices.checkpoints, listeners, fresh=choices.fresh, finish=choices.finish)
    if choices.finish and bundle.info.provenance.get("ended_early"):
        out.say("ended early: the same command without --finish goes on with the training")
    elif not table.epochs and not before:
        out.say(f"{bundle.folder} already holds this training: nothing was trained")
    return bundle


def _evaluate(
    out: Out, bundle: Bundle, manifest_path: Path, images: str | None, cache_dir: Path
) -> dict[str, Any] | None:
    """Judge the bundle on the test split as `cxr baseline evaluate` does; with --json, what it would print there."""
    arguments: dict[str, Any] = {"manifest_path": manifest_path, "images": images, "cache": cache_dir}
    arguments |= {"as_json": out.json, "quiet": out.quiet}
    out.text("")
    if not out.json:
        evaluate_command(bundle.folder, **arguments)
        return None
    # stdout carries one document: that of the evaluation becomes a part of it.
    with redirect_stdout(StringIO()) as said:
        evaluate_command(bundle.folder, **arguments)
    document: dict[str, Any] = json.loads(said.getvalue())
    return document


def _print_bundle(out: Out, bundle: Bundle) -> None:
    info, provenance = bundle.info, bundle.info.provenance
    rows: list[tuple[str, object]] = [
        ("recipe", provenance["recipe"]),
        ("weights", provenance["weights"]),
        ("epochs run", provenance["epochs_run"]),
        ("best epoch", f"{provenance['best_epoch']} ({provenance['best_stage']})"),
        ("validation AUC", f"{provenance['validation_auc']:.4f}"),
        ("threshold", f"{info.threshold.value:.4f} ({info.threshold.chosen_by} on {info.threshold.chosen_on})"),
        ("temperature", f"{info.calibration.temperature:.3f}" if info.calibration else "none"),
        ("training", f"{provenance['training_seconds']} s, {provenance['images_per_second']} images/s"),
        ("model", f"{info.model_path}, {bundle.model_size_bytes / 1e6:.1f} MB"),
    ]
    out.table((info.name, ""), rows)
    out.say(f"bundle: {bundle.folder}. {RESEARCH_USE}.")
