"""What a search writes: trials.csv, tuning.json, and best.toml, the best trial as a recipe."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from cxr.files import write_text_atomically
from cxr.local_baseline.recipes.overrides import HYPERPARAMETERS
from cxr.local_baseline.recipes.recipe_file import open_recipe, overrides_toml
from cxr.local_baseline.request import recipe_of
from cxr.local_baseline.tuning.nouns import TrialRow, Tuning

SCHEMA_VERSION = 1
TRIALS_FILE = "trials.csv"
RESULTS_FILE = "tuning.json"
BEST_FILE = "best.toml"
PLOT_FILE = "tuning.png"


def write_results(tuning: Tuning) -> None:
    """Write the tables, and the best trial's recipe if there is one."""
    folder = tuning.request.output
    write_text_atomically(folder / TRIALS_FILE, trials_csv(tuning))
    write_text_atomically(folder / RESULTS_FILE, json.dumps(as_json(tuning), indent=2, allow_nan=False) + "\n")
    if tuning.best is not None:
        write_text_atomically(folder / BEST_FILE, best_toml(tuning))


def trials_csv(tuning: Tuning) -> str:
    """One line a trial, best first; a column for each key that is searched."""
    keys = [HYPERPARAMETERS[parameter.id] for parameter in tuning.request.space.parameters]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["trial", "state", tuning.request.metric, *keys, "epochs", "best_epoch", "seconds", "reason"])
    for row in tuning.rows:
        values = [row.parameters.get(key, "") for key in keys]
        writer.writerow(
            [row.number, row.state.value, row.value, *values, row.epochs, row.best_epoch, row.seconds, row.reason]
        )
    return stream.getvalue()


def as_json(tuning: Tuning) -> dict[str, Any]:
    """The whole search as plain values."""
    request = tuning.request
    return {
        "schema_version": SCHEMA_VERSION,
        "recipe": request.train.recipe,
        "metric": request.metric,
        "maximise": request.maximise,
        "manifest_hash": request.train.manifest.hash,
        "seed": request.train.seed,
        "epochs": request.train.epochs,
        "overrides": dict(request.train.overrides),
        "seconds": round(tuning.seconds, 1),
        "best_trial": tuning.best.number if tuning.best else None,
        "best_overrides": tuning.best_overrides,
        "importance": dict(tuning.importance),
        "trials": [_row(row) for row in tuning.rows],
    }


def best_toml(tuning: Tuning) -> str:
    """The best trial as a recipe's file: a base, and what is changed of it."""
    best = tuning.best
    assert best is not None
    found = f"# Trial {best.number} of {len(tuning.rows)}: {tuning.request.metric} {best.value:.4f} on validation.\n"
    training = tuning.request.train
    chosen = open_recipe(training.recipe)
    return found + overrides_toml(
        chosen.base,
        {**chosen.overrides, **tuning.best_overrides},
        name=f"tuned-{chosen.recipe.name}",
        weights=training.weights,
        teachers=recipe_of(training).teachers,
    )


def _row(row: TrialRow) -> dict[str, Any]:
    return {
        "trial": row.number,
        "state": row.state.value,
        "value": row.value,
        "parameters": dict(row.parameters),
        "epochs": row.epochs,
        "best_epoch": row.best_epoch,
        "seconds": row.seconds,
        "reason": row.reason,
    }
