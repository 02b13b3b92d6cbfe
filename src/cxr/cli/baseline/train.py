"""`cxr baseline train`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cxr.cli.baseline import train_options as options
from cxr.cli.baseline.common import CacheDir, Images, TaskOption
from cxr.cli.baseline.train_steps import Choices, manifest_of, run_training
from cxr.cli.options import Json, Quiet
from cxr.cli.out import Out


def train_command(
    recipe: options.RecipeOption = "cnn5",
    manifest_path: options.ManifestOption = None,
    data: options.DataFolder = None,
    task: TaskOption = None,
    out_folder: options.BundleFolder = None,
    epochs: options.Epochs = None,
    seed: options.Seed = 7,
    weights: options.Weights = None,
    sets: options.Sets = None,
    images: Images = None,
    cache: CacheDir = None,
    deterministic: options.Deterministic = False,
    verify_cache: options.VerifyCache = False,
    name: options.BundleName = None,
    evaluate: options.Evaluate = False,
    fresh: options.Fresh = False,
    finish: options.Finish = False,
    tensorboard: options.TensorBoardFolder = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a recipe on the manifest's train split and write a bundle.

    The validation split chooses the epoch (unless the recipe keeps the last) and the threshold; the test split is not
    looked at. A training that was stopped, by Ctrl-C or a crash, goes on where it was when the same command is typed
    again; a finished bundle of the same request is kept. With --data a folder is scanned and a validation split of
    whole patients made out of its train. --set can be repeated; docs/baseline.md lists its keys. Research use, not a
    medical device.

    Example: cxr baseline train --recipe cnn5 --data chest_xray --evaluate
    """
    from cxr.local_baseline.images.cache import images_root
    from cxr.local_baseline.recipes.overrides import parse_overrides
    from cxr.local_baseline.recipes.recipe_file import open_recipe
    from cxr.local_baseline.request import TrainRequest, check_seed
    from cxr.manifests.tasks import task_view
    from cxr.settings import load_settings

    out, state_dir = Out(as_json, quiet), load_settings().state_dir
    chosen = open_recipe(recipe).recipe
    start = chosen.weights_or_default(weights)
    check_seed(seed)
    overrides = parse_overrides(sets or ())
    manifest = task_view(manifest_of(out, manifest_path, data, state_dir, is_judged=evaluate), task)
    bundle, decoded = out_folder or Path("runs") / chosen.name, cache or state_dir / "cache"
    request = TrainRequest(manifest, images or images_root(manifest), recipe, bundle, decoded, epochs, seed, start)
    request = replace(request, name=name or chosen.name, overrides=overrides)
    request = replace(request, deterministic=deterministic, verify_cache=verify_cache)
    if words := chosen.from_scratch_words(start):
        out.warn(words)
    choices = Choices(state_dir / "checkpoints", evaluate, fresh, finish, tensorboard, images)
    run_training(out, request, choices)
