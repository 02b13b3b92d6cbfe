"""What is to be trained, and the fingerprint by which a finished training is recognised."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cxr.bundle import ModelFormat, Origin
from cxr.errors import InputError, UsageError
from cxr.files import sha256_of_file
from cxr.local_baseline.recipes import IMAGENET, NO_WEIGHTS, Recipe
from cxr.local_baseline.recipes.overrides import Overrides, apply_overrides
from cxr.local_baseline.recipes.recipe_file import open_recipe
from cxr.manifests.manifest import Manifest

#: Raised when the same request would now train another model, so that finished bundles are not taken for it.
TRAINING_VERSION = 3
DEFAULT_SEED = 7
#: Fields of a recipe that describe it, and decide nothing of the model. Its stages are listed by their own rule.
DESCRIBING = ("name", "summary", "source", "deviations", "parameters", "default_weights", "scratch", "pretrained")
#: NumPy's and Keras's generators take seeds from 0 to this.
LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class TrainRequest:
    """One training. `images` is the folder or gs:// URL that the manifest's paths are relative to, or the place of its
    shards; `recipe` is a name or the path of a .toml file; `epochs` None means what the recipe finds right for the data
    (given, it is the length of the recipe's last stage); `weights` is none, imagenet or a file; `format` is keras or
    saved-model; `overrides` are the recipe's fields to change; `deterministic` asks for the same bits each time;
    `verify_cache` for a look at every decoded image; `variant` is a recipe without a name in the table, trained instead
    of `recipe`."""

    manifest: Manifest
    images: str
    recipe: str
    output: Path
    cache_dir: Path
    epochs: int | None = None
    seed: int = DEFAULT_SEED
    weights: str = NO_WEIGHTS
    format: ModelFormat = ModelFormat.KERAS
    origin: Origin = Origin.BASELINE
    name: str = ""
    overrides: Overrides = field(default_factory=dict)
    deterministic: bool = False
    verify_cache: bool = False
    variant: Recipe | None = None


def recipe_of(request: TrainRequest) -> Recipe:
    """The recipe that the request names, with its overrides. Raises UsageError for what there is not, InputError for a
    recipe's file that cannot be used."""
    if request.variant is not None:
        return apply_overrides(request.variant, request.overrides, request.weights)
    return open_recipe(request.recipe).with_overrides(request.overrides, request.weights)


def check_seed(seed: int) -> None:
    """Raises UsageError for a seed that no generator takes."""
    if not 0 <= seed <= LARGEST_SEED:
        raise UsageError(f"the seed {seed}: it takes a whole number, 0 to {LARGEST_SEED}")


def check_request(request: TrainRequest, recipe: Recipe) -> None:
    """Raises UsageError or InputError, before anything is decoded, for what cannot be trained."""
    check_seed(request.seed)
    if request.epochs is not None and request.epochs < 1:
        raise UsageError(f"{request.epochs} epochs: at least one is needed")
    if request.weights != NO_WEIGHTS and not recipe.pretrained:
        raise UsageError(f"the recipe {recipe.name} has no pretrained weights", hint="leave --weights out")
    if request.weights not in {NO_WEIGHTS, IMAGENET} and not Path(request.weights).is_file():
        raise InputError(
            f"there is no weights file {request.weights}", hint="or choose --weights none, or --weights imagenet"
        )
    if request.format not in {ModelFormat.KERAS, ModelFormat.SAVED_MODEL}:
        raise UsageError(f"a training ends in {ModelFormat.KERAS} or {ModelFormat.SAVED_MODEL}, not {request.format}")
    classes = request.manifest.classes
    if len(classes) < 2:
        raise InputError(f"the manifest has one label only ({', '.join(classes)}): there is nothing to tell apart")
    for split in ("train", "validation"):
        labels = set(request.manifest.split(split)["label"])
        if not labels:
            raise InputError(f"the manifest has no {split} images", hint="make a validation split: cxr data split")
        absent = sorted(set(classes) - labels)
        if absent:
            raise InputError(
                f"the {split} split has no image of {absent[0]}", hint="split the data again: cxr data split"
            )


def fingerprint(request: TrainRequest, recipe: Recipe) -> str:
    """sha256 (hex) of everything that decides the bundle: data, what runs of the recipe with its overrides, seed,
    epochs, the weights' bytes, format, the bundle's name. What only describes the recipe is left out: other words train
    no other model."""
    decides = {
        "training_version": TRAINING_VERSION,
        "manifest": request.manifest.hash,
        # A task's view has the manifest's hash, and other labels.
        "classes": request.manifest.classes,
        "recipe": _deciding(recipe, request.weights),
        "epochs": request.epochs,
        "seed": request.seed,
        "weights": _bytes_of(request.weights),
        "format": request.format,
        "origin": request.origin,
        "name": request.name,
    }
    if request.deterministic:
        decides["deterministic"] = True
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def _deciding(recipe: Recipe, weights: str) -> dict[str, Any]:
    """What decides a training of the recipe with these weights, as plain values; a teacher is a training too."""
    fields = {key: value for key, value in asdict(recipe).items() if key not in DESCRIBING}
    teachers = [
        {
            "seed": teacher.seed,
            "weights": _bytes_of(teacher.weights or weights),
            "recipe": _deciding(teacher.recipe, teacher.weights or weights),
        }
        for teacher in (recipe.teachers if recipe.teacher_share else ())
    ]
    return {**fields, "stages": [asdict(stage) for stage in recipe.stages_with(weights)], "teachers": teachers}


def _bytes_of(weights: str) -> str:
    """The word for weights, or the digest of a file of them."""
    return weights if weights in {NO_WEIGHTS, IMAGENET} else sha256_of_file(Path(weights))
