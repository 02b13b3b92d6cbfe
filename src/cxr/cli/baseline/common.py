"""Options that the commands on models share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from cxr.errors import UsageError

JUDGED_SPLITS: Final = ("test", "validation")

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


def check_judged_split(split: str) -> None:
    """Raises UsageError for a split that no model is judged on."""
    if split not in JUDGED_SPLITS:
        raise UsageError(f"there is no split {split!r} to judge on", hint=f"choose one of: {', '.join(JUDGED_SPLITS)}")


def beside(bundle_folder: Path, word: str) -> Path:
    """Where a command's files on a bundle go: beside it as BUNDLE-word, since a bundle lists its own files."""
    if bundle_folder.name not in {"", ".."}:
        return bundle_folder.parent / f"{bundle_folder.name}-{word}"
    resolved = bundle_folder.resolve()  # `.` has neither name nor parent
    return resolved.parent / f"{resolved.name}-{word}"
