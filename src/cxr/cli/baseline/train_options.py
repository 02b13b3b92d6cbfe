"""The options of `cxr baseline train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.completions import recipe_names
from cxr.cli.options import DEFAULT_MANIFEST

RecipeOption = Annotated[
    str,
    typer.Option(
        "--recipe", "-r", help="A name (see `cxr baseline recipes`) or a .toml file.", autocompletion=recipe_names
    ),
]
ManifestOption = Annotated[
    Path | None, typer.Option("--manifest", "-m", help=f"The manifest to work on [default: {DEFAULT_MANIFEST}].")
]
DataFolder = Annotated[
    Path | None, typer.Option("--data", help="Instead of a manifest: a folder with train/<label>/… and test/<label>/….")
]
BundleFolder = Annotated[Path | None, typer.Option("--out", "-o", help="The bundle [default: runs/RECIPE].")]
Epochs = Annotated[
    int | None, typer.Option("--epochs", help="Passes over the data, of the last stage [default: by its size].")
]
Seed = Annotated[int, typer.Option("--seed", help="The same seed gives the same training.")]
Weights = Annotated[
    str | None, typer.Option("--weights", help="Start from: none, imagenet, or a .h5 file [default: the recipe's].")
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe, e.g. optimizer.learning_rate=0.0005."),
]
Deterministic = Annotated[bool, typer.Option("--deterministic", help="The same bits each time, at some cost in speed.")]
VerifyCache = Annotated[
    bool, typer.Option("--verify-cache", help="Check every decoded image, not only a gigabyte of them.")
]
BundleName = Annotated[str | None, typer.Option("--name", help="The bundle's name [default: the recipe's].")]
Evaluate = Annotated[bool, typer.Option("--evaluate", help="Then judge the bundle on the test split.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Begin anew: forget checkpoints and a finished bundle.")]
Finish = Annotated[bool, typer.Option("--finish", help="Train no further: make a bundle of what is kept so far.")]
TensorBoardFolder = Annotated[
    Path | None, typer.Option("--tensorboard", metavar="DIR", help="Write the epochs' figures for TensorBoard.")
]
