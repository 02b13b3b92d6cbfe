"""`cxr baseline train`."""

from __future__ import annotations

import json
from contextlib import redirect_stdout
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cxr.cli.baseline.common import CacheDir, Images, TaskOption
from cxr.cli.baseline.evaluate import evaluate_command
from cxr.cli.baseline.image_folder import check_judgeable, manifest_of_folder
from cxr.cli.baseline.training_table import TrainingTable
from cxr.cli.options import DEFAULT_MANIFEST, Json, Quiet
from cxr.cli.out import Out
from cxr.errors import UsageError

if TYPE_CHECKING:
    from cxr.bundle import Bundle
    from cxr.local_baseline.epochs import EpochResult
    from cxr.local_baseline.request import TrainRequest
    from cxr.manifests.manifest import Manifest


def train_command(
    recipe: Annotated[
        str, typer.Option("--recipe", "-r", help="A name (see `cxr baseline recipes`) or a .toml file.")
    ] = "cnn5",
    manifest_path: Annotated[
        Path | None,
        typer.Option("--manifest", "-m", help=f"The manifest to work on [default: {DEFAULT_MANIFEST}]."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Instead of a manifest: a folder with train/<label>/… and test/<label>/…."),
    ] = None,
    task: TaskOption = None,
    out_folder: Annotated[Path | None, typer.Option("--out", "-o", help="The bundle [default: runs/RECIPE].")] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Passes over the data [default: by its size].")] = None,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same training.")] = 7,
    weights: Annotated[
        str | None,
        typer.Option("--weights", help="Start from: none, imagenet, or a .h5 file [default: the recipe's]."),
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe, e.g. optimizer.learning_rate=0.0005."),
    ] = None,
    images: Images = None,
    cache: CacheDir = None,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="The same bits each time, at some cost in speed.")
    ] = False,
    verify_cache: Annotated[
        bool, typer.Option("--verify-cache", help="Check every decoded image, not only a gigabyte of them.")
    ] = False,
    name: Annotated[str | None, typer.Option("--name", help="The bundle's name [default: the recipe's].")] = None,
    evaluate: Annotated[bool, typer.Option("--evaluate", help="Then judge the bundle on the test split.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin anew: forget checkpoints and a finished bundle.")
    ] = False,
    finish: Annotated[
        bool, typer.Option("--finish", help="Train no further: make a bundle of the best epoch so far.")
    ] = False,
    tensorboard: Annotated[
        Path | None, typer.Option("--tensorboard", metavar="DIR", help="Write the epochs' figures for TensorBoard.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a recipe on the manifest's train split and write a bundle.

    The validation split chooses the best epoch and the threshold; the test split is not looked at. A training that was
    stopped, by Ctrl-C or a crash, goes on where it was when the same command is typed again; a finished bundle of the
    same request is kept. With --data a folder is scanned and a validation split of whole patients made out of its
    train. --set can be repeated; docs/baseline.md lists its keys. Research use, not a medical device.

    Example: cxr baseline train --recipe cnn5 --data chest_xray --evaluate
    """
    from cxr.local_baseline.cache import images_root
    from cxr.local_baseline.overrides import parse_overrides
    from cxr.local_baseline.recipe_file import open_recipe
    from cxr.local_baseline.request import TrainRequest, check_seed
    from cxr.manifests.tasks import task_view
    from cxr.settings import load_settings

    out = Out(as_json, quiet)
    chosen = open_recipe(recipe).recipe
    start_from = chosen.weights_or_default(weights)
    check_seed(seed)
    overrides = parse_overrides(sets or ())
    state_dir = load_settings().state_dir
    manifest = task_view(_manifest_of(out, manifest_path, data, state_dir, is_judged=evaluate), task)
    request = TrainRequest(
        manifest=manifest,
        images=images or images_root(manifest),
        recipe=recipe,
        output=out_folder or Path("runs") / chosen.name,
        cache_dir=cache or state_dir / "cache",
        epochs=epochs,
        seed=seed,
        weights=start_from,
        name=name or chosen.name,
        overrides=overrides,
        deterministic=deterministic,
        verify_cache=verify_cache,
    )
    if words := chosen.from_scratch_words(start_from):
        out.warn(words)
    bundle = _train(out, request, state_dir / "checkpoints", tensorboard, fresh=fresh, finish=finish)
    location = manifest.location or DEFAULT_MANIFEST
    _print_bundle(out, bundle)
    judged = _evaluate(out, bundle, location, images, request.cache_dir) if evaluate else None
    payload = {"bundle": str(bundle.folder), "hash": bundle.hash, **asdict(bundle.info)}
    out.result("baseline.train", payload if judged is None else {**payload, "evaluation": judged})
    if not evaluate:
        flag = "" if location == DEFAULT_MANIFEST else f" --manifest {location}"
        out.hint(f"cxr baseline evaluate {bundle.folder}{flag}")


def _manifest_of(
    out: Out, manifest_path: Path | None, data: Path | None, state_dir: Path, *, is_judged: bool
) -> Manifest:
    from cxr.manifests.manifest_file import read_manifest

    if data is not None:
        if manifest_path is not None:
            raise UsageError("--data makes a manifest of its own", hint="give --data or --manifest")
        return manifest_of_folder(out, data, state_dir, is_judged=is_judged)
    manifest = read_manifest(manifest_path or DEFAULT_MANIFEST)
    if is_judged:
        check_judgeable(manifest)
    return manifest


def _train(
    out: Out, request: TrainRequest, checkpoints: Path, tensorboard: Path | None, *, fresh: bool, finish: bool
) -> Bundle:
    # TensorFlow takes three seconds to load: only when there is something to train.
    from cxr.local_baseline.local_training import Listeners, train_here
    from cxr.local_baseline.request import recipe_of
    from cxr.local_baseline.tensorboard import TensorBoardLog

    stages = recipe_of(request).stages_with(request.weights)
    table = TrainingTable(out, {stage.trains.value: stage.early_stopping for stage in stages})
    board = TensorBoardLog(str(tensorboard), out.say) if tensorboard else None
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
        bundle = train_here(request, checkpoints, listeners, fresh=fresh, finish=finish)
    if finish and bundle.info.provenance.get("ended_early"):
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
    out.say(f"bundle: {bundle.folder}. Research use, not a medical device.")
