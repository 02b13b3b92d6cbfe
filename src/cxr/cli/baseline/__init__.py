"""`cxr baseline`: train models on this machine, and judge them."""

from __future__ import annotations

import typer

from cxr.cli.baseline import crossval, evaluate, explain, recipes, robustness, train, tune

app = typer.Typer(
    help="Train and judge models on this machine.\n\nExample: cxr baseline train --recipe cnn5 --out runs/cnn5",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("train")(train.train_command)
app.command("evaluate")(evaluate.evaluate_command)
app.command("crossval")(crossval.crossval_command)
app.command("tune")(tune.tune_command)
app.command("explain")(explain.explain_command)
app.command("recipes")(recipes.recipes_command)
app.command("robustness")(robustness.robustness_command)
