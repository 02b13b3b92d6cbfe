"""Where a folder keeps its splits and labels: DIR/<split>/<label>/… or DIR/<label>/…, perhaps in a wrapper folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cxr.errors import Fault, InputError, NotAllowed

#: Folder name (lower case) -> split.
SPLIT_FOLDERS: Final = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
#: Leftovers of desktops and archivers, in lower case.
JUNK_FOLDERS: Final = frozenset({"__macosx", ".git", ".ipynb_checkpoints", "@eadir", ".trashes", ".spotlight-v100"})
JUNK_FILES: Final = frozenset({".ds_store", "thumbs.db", "desktop.ini", ".gitkeep", ".gitignore"})


@dataclass(frozen=True, slots=True)
class Layout:
    """The data set's own folder (below any wrapper) and whether its first level is splits."""

    base: Path
    has_splits: bool


@dataclass(frozen=True, slots=True)
class Place:
    """What a path says of an image. `label` is empty where no folder gives one; `outside` where the first folder is not
    a split in a layout that has splits."""

    split: str
    label: str
    outside: bool = False


def find_layout(root: Path) -> Layout:
    """Recognise the layout of `root`, looking into a wrapper folder (DIR/chest_xray/train) where there is one.

    Raises InputError when `root` is missing or not a folder, is empty, or holds several data sets; NotAllowed when it
    cannot be read.
    """
    return _layout_with_splits(root) or Layout(root, False)


def _layout_with_splits(root: Path) -> Layout | None:
    folders = _folders(root)
    if any(_is_split(name) for name in folders):
        return Layout(root, True)
    wrappers = [name for name in folders if any(_is_split(inner) for inner in _folders(root / name))]
    if len(wrappers) > 1:
        raise InputError(
            f"{root} holds several data sets (folders with splits in them): {', '.join(wrappers)}",
            hint=f"scan one, cxr data scan {root / wrappers[0]}, or lay it out as <split>/<label>/…",
        )
    if len(wrappers) == 1:
        return Layout(root / wrappers[0], True)
    return _layout_with_splits(root / folders[0]) if len(folders) == 1 else None


def place_of(parts: tuple[str, ...], layout: Layout) -> Place:
    """What the parts of a path relative to the base say of its split and label. Without split folders all is train."""
    folders = parts[:-1]
    if not layout.has_splits:
        return Place("train", folders[0] if folders else "")
    split = SPLIT_FOLDERS.get(folders[0].lower()) if folders else None
    if split is None:
        return Place("", "", outside=bool(folders))
    return Place(split, folders[1] if len(folders) > 1 else "")


def is_junk_folder(name: str) -> bool:
    """Whether a folder is a leftover (any hidden folder is)."""
    return name.lower() in JUNK_FOLDERS or name.startswith(".")


def is_junk_file(name: str) -> bool:
    """Whether a file is a leftover; `._name` is an AppleDouble."""
    return name.lower() in JUNK_FILES or name.startswith("._")


def _is_split(name: str) -> bool:
    return name.lower() in SPLIT_FOLDERS


def _folders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir() and not is_junk_folder(entry.name))
    except FileNotFoundError:
        raise InputError(
            f"there is no folder {folder}", hint="name the folder that holds train/NORMAL, train/PNEUMONIA and so on"
        ) from None
    except NotADirectoryError:
        raise InputError(f"{folder} is a file, not a folder") from None
    except PermissionError as error:
        raise NotAllowed(f"no permission to read {folder}") from error
    except OSError as error:
        raise Fault(f"cannot read {folder}: {error.strerror}") from error
