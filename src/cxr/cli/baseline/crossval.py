"""`cxr baseline crossval`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.about import RESEARCH_USE
from cxr.cli.baseline import train_options as options
from cxr.cli.baseline.common import CacheDir, Images, TaskOption
from cxr.cli.options import DEFAULT_MANIFEST, Json, ManifestPath, Quiet
from cxr.cli.out import Out

if TYPE_CHECKING:
    from cxr.bundle import Bundle
    from cxr.compare.crossval.nouns import CrossValidation, FoldResult
    from cxr.local_baseline.judging.folds import Fold
    from cxr.local_baseline.request import TrainRequest
    from cxr.local_baseline.training.fitting import EpochResult


def crossval_command(
    recipe: options.RecipeOption = "cnn5",
    folds: Annotated[int, typer.Option("--folds", "-k", help="Into how many parts, each held out once.")] = 5,
    blocks: Annotated[
        bool, typer.Option("--blocks", help="Folds of neighbouring patient numbers: later folds are other times.")
    ] = False,
    inner_validation: Annotated[
        float, typer.Option("--inner-validation", help="Share of the rest that chooses epoch and threshold.")
    ] = 0.1,
    manifest_path: ManifestPath = DEFAULT_MANIFEST,
    task: TaskOption = None,
    out_folder: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the folds [default: runs/RECIPE-crossval…].")
    ] = None,
    epochs: options.Epochs = None,
    seed: Annotated[int, typer.Option("--seed", help="Decides folds and trainings.")] = 7,
    weights: options.Weights = None,
    sets: options.Sets = None,
    images: Images = None,
    cache: CacheDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Cross-validate a recipe inside train and validation; the test split is not looked at.

    Folds hold whole patients and duplicate groups, with every label and etiology in its share. Each fold is held out
    once: a bundle trained on the others judges it. Stopped or killed, the same command goes on, in the middle of a
    fold too. Writes crossval.csv, crossval.json and out-of-fold.csv. Research use, not a medical device.

    Example: cxr baseline crossval --recipe cnn5 --folds 5 --manifest manifest.csv
    """
    from cxr.compare.crossval.run import check_folder
    from cxr.local_baseline.images.cache import images_root
    from cxr.local_baseline.judging.folds import make_folds
    from cxr.local_baseline.recipes.overrides import parse_overrides
    from cxr.local_baseline.recipes.recipe_file import open_recipe
    from cxr.local_baseline.request import TrainRequest, check_seed
    from cxr.manifests.manifest_file import read_manifest
    from cxr.manifests.tasks import task_view
    from cxr.settings import load_settings

    out, state_dir = Out(as_json, quiet), load_settings().state_dir
    chosen = open_recipe(recipe).recipe
    start = chosen.weights_or_default(weights)
    check_seed(seed)
    overrides = parse_overrides(sets or ())
    manifest = task_view(read_manifest(manifest_path), task)
    words = [chosen.name, "crossval", *(["blocks"] if blocks else []), *([task] if task else [])]
    place, decoded = out_folder or Path("runs") / "-".join(words), cache or state_dir / "cache"
    request = TrainRequest(manifest, images or images_root(manifest), recipe, place, decoded, epochs, seed, start)
    request = replace(request, name=chosen.name, overrides=overrides)
    check_folder(request.output)
    parts = make_folds(manifest, folds=folds, seed=seed, blocks=blocks, validation=inner_validation)
    if warning := chosen.from_scratch_words(start):
        out.warn(warning)
    result = _cross_validate(out, request, parts, state_dir / "checkpoints", blocks=blocks)
    _print_result(out, result)
    flag = "" if manifest_path == DEFAULT_MANIFEST else f" --manifest {manifest_path}"
    out.hint(f"cxr baseline train --recipe {recipe}{flag}")


def _cross_validate(
    out: Out, request: TrainRequest, folds: tuple[Fold, ...], checkpoints: Path, *, blocks: bool
) -> CrossValidation:
    # TensorFlow takes three seconds to load: only when there is something to train.
    from cxr.compare.crossval.run import cross_validate
    from cxr.local_baseline.local_training import Listeners, train_here

    def on_epoch(result: EpochResult) -> None:
        out.say(result.line())

    def on_fold(fold: FoldResult) -> None:
        words = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in fold.measures.items())
        kept = " (finished before)" if fold.was_finished else ""
        out.say(f"fold {fold.number} of {len(folds)}{kept}: {words}")

    with out.progress(f"crossval {request.recipe}") as advance:

        def train_fold(own: TrainRequest) -> Bundle:
            return train_here(own, checkpoints, Listeners(advance, on_epoch, say=out.say))

        return cross_validate(
            request, folds, blocks=blocks, train_fold=train_fold, on_progress=advance, on_fold=on_fold
        )


def _print_result(out: Out, result: CrossValidation) -> None:
    from cxr.compare.crossval.files import crossval_document
    from cxr.compare.evaluation.words import TITLES, four, interval

    rows: list[tuple[object, ...]] = [
        (fold.number, fold.images, fold.patients, *(four(fold.measures[name]) for name in result.spread))
        for fold in result.folds
    ]
    rows.append(("mean", None, None, *(four(spread.mean) for spread in result.spread.values())))
    rows.append(("deviation", None, None, *(four(spread.standard_deviation) for spread in result.spread.values())))
    out.table(("fold", "images", "patients", *(TITLES[name] for name in result.spread)), rows)
    out.text("")
    pooled = [(TITLES[name], interval(estimate)) for name, estimate in result.pooled.items()]
    out.table(("all held-out images together", "with 95 % interval"), pooled)
    out.result("baseline.crossval", {"folder": str(result.folder), **crossval_document(result)})
    kind = "blocks of neighbouring patients" if result.blocks else "scattered patients"
    out.say(
        f"folds of {kind}, each judged by a model that saw none of them, at its own threshold; intervals resample "
        "patients"
    )
    out.say(f"folds: {result.folder}. {RESEARCH_USE}.")
