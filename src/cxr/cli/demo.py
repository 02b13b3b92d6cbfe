"""`cxr demo`: the whole way in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.options import Json, Quiet
from cxr.cli.out import Out
from cxr.errors import UsageError
from cxr.settings import Target

#: Sizes of the synthetic set, and recipes of the GPU job: of a demo, and of a quick one.
IMAGES, QUICK_IMAGES = 640, 80
GPU_RECIPE, QUICK_GPU_RECIPE = "mobilenet-v2", "cnn3"


def demo(
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of chest X-rays; without it a synthetic set is drawn.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--out", help="Where everything goes [default: cxr-demo, or cxr-demo-NAME of the data]."),
    ] = None,
    images: Annotated[
        int | None, typer.Option("--images", min=80, help=f"Size of the synthetic set [default: {IMAGES}].")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Epochs of every training, if not the recipes' own.")
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="A look in a minute: 80 images, one epoch, a small GPU recipe; figures that mean nothing."
        ),
    ] = False,
    weights: Annotated[
        str, typer.Option("--weights", help="Backbone of the GPU job's recipe: none, imagenet or a .h5 file.")
    ] = "none",
    seed: Annotated[int, typer.Option("--seed", help="Seed of everything random.")] = 7,
    on: Annotated[
        str, typer.Option("--on", help="What stands for a cloud: emulator (Google), or aws-local (Amazon).")
    ] = "emulator",
    keep_emulator: Annotated[bool, typer.Option("--keep-emulator", help="Leave the emulator running.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """The whole way on this machine: data, plan with price, upload, AutoML, GPU job, baseline, comparison, page.

    No account, nothing leaves this machine. A second run reuses what is done.

    Example: cxr demo --data chest_xray
    """
    from cxr.cli.demo_steps import DemoOptions, run_demo

    out = Out(json=json, quiet=quiet)
    name = f"cxr-demo-{data.resolve().name}" if data else "cxr-demo"
    name += "" if on == "emulator" else f"-{on}"
    options = DemoOptions(
        folder=folder or Path(name),
        data=data,
        images=images or (QUICK_IMAGES if quick else IMAGES),
        epochs=epochs or (1 if quick else None),
        gpu_recipe=QUICK_GPU_RECIPE if quick else GPU_RECIPE,
        weights=weights,
        seed=seed,
        keep_emulator=keep_emulator,
        on=_target(on),
    )
    run_demo(options, out)


def _target(on: str) -> Target:
    local = [target for target in Target if not target.billed]
    if on not in local:
        raise UsageError(
            f"the demo works on a server of this machine, not on {on!r}", hint=f"choose one of: {', '.join(local)}"
        )
    return Target(on)
