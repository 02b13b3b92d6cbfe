"""Options that the commands on models share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Images = Annotated[
    str | None,
    typer.Option(
        "--images", help="Folder or gs:// URL of the manifest's images, or of its shards [default: the manifest's own]."
    ),
]
CacheDir = Annotated[Path | None, typer.Option("--cache", help="Decoded images [default: .cxr/cache].")]
TaskOption = Annotated[
    str | None,
    typer.Option("--task", help="View of the labels: binary or three-class [default: the labels as they are]."),
]
