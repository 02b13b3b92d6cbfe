"""`cxr baseline train`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.cli.baseline.common import CacheDir, Images, TaskOption
from cxr.cli.options import DEFAULT_MANIFEST, Json, ManifestPath, Quiet
from cxr.cli.out import Out

if TYPE_CHECKING:
    from cxr.bundle import Bundle
    from cxr.local_baseline.fitting import EpochResult
    from cxr.local_baseline.request import TrainRequest


def train_command(
    recipe: Annotated[str, typer.Option("--recipe", "-r", help="What to train; see `cxr baseline recipes`.")] = "cnn5",
    manifest_path: ManifestPath = DEFAULT_MANIFEST,
    task: TaskOption = None,
    out_folder: Annotated[Path | None, typer.Option("--out", "-o", help="The bundle [default: runs/RECIPE].")] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Passes over the data [default: by its size].")] = None,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same training.")] = 7,
    weights: Annotated[str, typer.Option("--weights", help="Start from: none, imagenet, or a .h5 file.")] = "none",
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe, e.g. optimizer.learning_rate=0.0005."),
    ] = None,
    images: Images = None,
    cache: CacheDir = None,
    name: Annotated[str | None, typer.Option("--name", help="The bundle's name [default: the recipe's].")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a recipe on the manifest's train split and write a bundle.

    The validation split chooses the best epoch and the threshold; the test split is not looked at. A finished bundle
    of the same request is kept, not trained again. --set can be repeated; docs/baseline.md lists its keys. Research
    use, not a medical device.

    Example: cxr baseline train --recipe cnn5 --manifest manifest.csv --out runs/cnn5
    """
    from cxr.local_baseline.cache import images_root
    from cxr.local_baseline.overrides import parse_overrides
    from cxr.local_baseline.recipes import find_recipe
    from cxr.local_baseline.request import TrainRequest, check_seed
    from cxr.manifests.manifest_file import read_manifest
    from cxr.manifests.tasks import task_view
    from cxr.settings import load_settings

    out = Out(as_json, quiet)
    find_recipe(recipe)
    check_seed(seed)
    overrides = parse_overrides(sets or ())
    manifest = task_view(read_manifest(manifest_path), task)
    request = TrainRequest(
        manifest=manifest,
        images=images or images_root(manifest),
        recipe=recipe,
        output=out_folder or Path("runs") / recipe,
        cache_dir=cache or load_settings().state_dir / "cache",
        epochs=epochs,
        seed=seed,
        weights=weights,
        name=name or recipe,
        overrides=overrides,
    )
    bundle = _train(out, request)
    _print_bundle(out, bundle)
    flag = "" if manifest_path == DEFAULT_MANIFEST else f" --manifest {manifest_path}"
    out.hint(f"cxr baseline evaluate {bundle.folder}{flag}")


def _train(out: Out, request: TrainRequest) -> Bundle:
    # TensorFlow takes three seconds to load: only when there is something to train.
    from cxr.local_baseline.train import train

    epochs_heard = 0

    def on_epoch(result: EpochResult) -> None:
        nonlocal epochs_heard
        epochs_heard += 1
        out.say(result.line())

    with out.progress(f"train {request.recipe}") as advance:
        bundle = train(request, advance, on_epoch)
    if not epochs_heard:
        out.say(f"{bundle.folder} already holds this training: nothing was trained")
    return bundle


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
    out.result("baseline.train", {"bundle": str(bundle.folder), "hash": bundle.hash, **asdict(info)})
    out.say(f"bundle: {bundle.folder}. Research use, not a medical device.")
