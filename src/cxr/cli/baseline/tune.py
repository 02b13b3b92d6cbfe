"""`cxr baseline tune`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.about import RESEARCH_USE
from cxr.cli.baseline import train_options as options
from cxr.cli.baseline.common import CacheDir, Images, TaskOption
from cxr.cli.options import DEFAULT_MANIFEST, Json, ManifestPath, Quiet
from cxr.cli.out import Out
from cxr.errors import MissingPackage

if TYPE_CHECKING:
    from cxr.local_baseline.recipes.search_space import SearchSpace
    from cxr.local_baseline.request import TrainRequest
    from cxr.local_baseline.tuning.nouns import TrialRow, TuneRequest, Tuning

#: Without --minutes and --trials.
DEFAULT_MINUTES = 30.0


MinutesOption = Annotated[
    float | None, typer.Option("--minutes", help="Budget of all sessions [default: 30, or none with --trials].")
]
SpaceOption = Annotated[
    Path | None, typer.Option("--space", help="What to vary, as TOML [default: the recipe's own space].")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe for all trials.")
]
OutOption = Annotated[
    Path | None, typer.Option("--out", "-o", help="Where the search is kept [default: runs/tune-RECIPE].")
]


def tune_command(
    recipe: options.RecipeOption = "cnn5",
    manifest_path: ManifestPath = DEFAULT_MANIFEST,
    task: TaskOption = None,
    minutes: MinutesOption = None,
    trials: Annotated[int | None, typer.Option("--trials", help="At most so many trials.")] = None,
    space_path: SpaceOption = None,
    metric: Annotated[str, typer.Option("--metric", help="val_auc or val_loss, of the best epoch.")] = "val_auc",
    epochs: Annotated[
        int | None, typer.Option("--epochs", help="Shorter trials [default: by the data's size].")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="The same seed asks for the same trials.")] = 7,
    weights: options.Weights = None,
    sets: SetOption = None,
    out_folder: OutOption = None,
    images: Images = None,
    cache: CacheDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Search a recipe's hyperparameters on the validation split, within a budget of minutes.

    Trial 0 is the recipe as it is; hopeless trials are stopped early; the test split is not looked at. The same command
    goes on after Ctrl-C, a crash or with more minutes. Research use, not a medical device.

    Example: cxr baseline tune --recipe cnn5 --minutes 30 --epochs 2
    """
    from cxr.local_baseline.images.cache import images_root
    from cxr.local_baseline.recipes.overrides import parse_overrides
    from cxr.local_baseline.recipes.recipe_file import open_recipe
    from cxr.local_baseline.request import TrainRequest
    from cxr.local_baseline.tuning.nouns import TuneRequest, check_tune
    from cxr.manifests.manifest_file import read_manifest
    from cxr.manifests.tasks import task_view
    from cxr.settings import load_settings

    out = Out(as_json, quiet)
    chosen = open_recipe(recipe)
    output = out_folder or Path("runs") / f"tune-{chosen.recipe.name}"
    overrides = parse_overrides(sets or ())
    manifest = task_view(read_manifest(manifest_path), task)
    training = TrainRequest(
        manifest=manifest,
        images=images or images_root(manifest),
        recipe=recipe,
        output=output / "best",
        cache_dir=cache or load_settings().state_dir / "cache",
        epochs=epochs,
        seed=seed,
        weights=chosen.recipe.weights_or_default(weights),
        name=chosen.recipe.name,
        overrides=overrides,
    )
    limit = DEFAULT_MINUTES if minutes is None and trials is None else minutes
    request = TuneRequest(training, _space(training, space_path), output, minutes=limit, trials=trials, metric=metric)
    check_tune(request)
    _report(out, _tune(out, request), manifest_path, task)


def _space(training: TrainRequest, path: Path | None) -> SearchSpace:
    """The space of a file, or the recipe's own without what is set for all trials."""
    from cxr.local_baseline.recipes.recipe_file import open_recipe
    from cxr.local_baseline.recipes.search_space import default_space, read_space
    from cxr.local_baseline.request import recipe_of

    if path is not None:
        return read_space(path)
    base = open_recipe(training.recipe).base
    return default_space(base, recipe_of(training), training.weights, training.overrides)


def _tune(out: Out, request: TuneRequest) -> Tuning:
    # Optuna and TensorFlow take seconds to load: only when there is something to search.
    from cxr.local_baseline.tuning.plot import write_plot
    from cxr.local_baseline.tuning.results import PLOT_FILE
    from cxr.local_baseline.tuning.search import tune

    made = 0

    def on_trial(row: TrialRow) -> None:
        nonlocal made
        made += 1
        out.say(_line(row, request.metric))

    with out.progress(f"tune {request.train.recipe}") as advance:
        tuning = tune(request, advance, on_trial)
    if not made:
        out.say(f"{request.output} has used its budget: no trial was made; give it more --minutes or --trials")
    try:
        write_plot(tuning, request.output / PLOT_FILE)
    except MissingPackage as error:
        out.warn(f"no {PLOT_FILE}: {error.message}; {error.hint}")
    return tuning


def _line(row: TrialRow, metric: str) -> str:
    found = row.reason if row.value is None else f"{metric} {row.value:.4f} at epoch {row.best_epoch} of {row.epochs}"
    return f"trial {row.number}: {found}, {row.state}, {row.seconds:.0f} s; {_parameters(row)}"


def _parameters(row: TrialRow) -> str:
    words = (f"{key}={f'{value:.4g}' if isinstance(value, float) else value}" for key, value in row.parameters.items())
    return " ".join(words) or "the recipe as it is"


def _report(out: Out, tuning: Tuning, manifest_path: Path, task: str | None) -> None:
    from cxr.local_baseline.tuning.results import BEST_FILE, as_json

    request, best = tuning.request, tuning.best
    rows = [
        (
            row.number,
            "-" if row.value is None else f"{row.value:.4f}",
            row.state.value,
            row.epochs,
            f"{row.seconds:.0f}",
            _parameters(row) if not row.reason else f"{_parameters(row)} ({row.reason})",
        )
        for row in tuning.rows
    ]
    out.table(("trial", request.metric, "state", "epochs", "seconds", "parameters"), rows)
    command = _train_command(tuning, manifest_path, task)
    payload = {"out": str(request.output), "command": command if best else None, **as_json(tuning)}
    out.result("baseline.tune", payload)
    out.say(
        f"{len(rows)} trials in {tuning.seconds / 60:.1f} minutes; tables, plot and {BEST_FILE}: {request.output}. "
        f"The best figure of many flatters: judge it on the test split, once. {RESEARCH_USE}."
    )
    if best is not None:
        out.hint(command)


def _train_command(tuning: Tuning, manifest_path: Path, task: str | None) -> str:
    """How to train the best trial as a bundle."""
    from cxr.local_baseline.tuning.results import BEST_FILE

    request = tuning.request
    training = request.train
    words = ["cxr", "baseline", "train", "--recipe", str(request.output / BEST_FILE)]
    if task is not None:
        words += ["--task", task]
    if training.epochs is not None:
        words += ["--epochs", str(training.epochs)]
    if manifest_path != DEFAULT_MANIFEST:
        words += ["--manifest", str(manifest_path)]
    return shlex.join([*words, "--seed", str(training.seed), "--out", str(training.output)])
