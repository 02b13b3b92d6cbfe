"""`cxr data sample`: a synthetic data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.options import Json, Quiet
from cxr.cli.out import Out
from cxr.errors import InputError, NotAllowed, UsageError


def sample_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to draw into.")],
    images: Annotated[int, typer.Option("--images", help="How many images to draw.")] = 600,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same images.")] = 7,
    force: Annotated[bool, typer.Option("--force", help="Draw into a folder that is not empty.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw synthetic radiographs in the Kaggle layout, for trials where no real data may be had.

    Example: cxr data sample sample-xrays --images 600
    """
    from cxr.manifests.sample import draw_sample

    out = Out(as_json, quiet)
    if not force and _is_occupied(folder):
        raise UsageError(f"{folder} is not empty", hint="name another folder, or add --force to draw into it")
    with out.progress("draw") as advance:
        draw_sample(folder, images=images, seed=seed, on_progress=advance)
    out.result("data.sample", {"folder": str(folder), "images": images, "seed": seed, "synthetic": True})
    out.say(f"drew {images:,} SYNTHETIC images into {folder}: no patient stands behind them (each file says so)")
    out.hint(f"cxr data scan {folder}")


def _is_occupied(folder: Path) -> bool:
    try:
        return folder.is_dir() and any(folder.iterdir())
    except PermissionError as error:
        raise NotAllowed(f"no permission to read {folder}") from error
    except OSError as error:
        raise InputError(f"cannot read {folder}: {error.strerror}") from error
