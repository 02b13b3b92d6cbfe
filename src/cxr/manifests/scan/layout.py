"""Where a folder or a bucket keeps its splits and labels: <split>/<label>/… or <label>/…, perhaps in a wrapper."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
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
#: Leftovers of desktops, archivers and file systems, in lower case.
JUNK_FOLDERS: Final = frozenset(
    {
        "__macosx",
        ".git",
        ".ipynb_checkpoints",
        "@eadir",
        ".trashes",
        ".spotlight-v100",
        "lost+found",
        "$recycle.bin",
        "system volume information",
    }
)
JUNK_FILES: Final = frozenset({".ds_store", "thumbs.db", "desktop.ini", ".gitkeep", ".gitignore"})

#: The names of the folders in a folder (given by its parts below the root), sorted, without leftovers.
_Children = Callable[[tuple[str, ...]], list[str]]


@dataclass(frozen=True, slots=True)
class Layout:
    """Any `wrapper` folders (POSIX, relative to what was scanned; empty for none) around the data set's own folder, and
    whether that folder's first level is splits."""

    wrapper: str
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

    A folder below `root` that cannot be read counts as empty. Raises InputError when `root` is missing or not a folder,
    or holds several data sets; NotAllowed when it cannot be read.
    """
    return _find(lambda parts: _folders_below(root.joinpath(*parts)) if parts else _folders(root), str(root))


def listed_layout(folders: Iterable[str], url: str) -> Layout:
    """The same from a listing: `folders` are the POSIX paths of all folders that objects lie in.

    Raises InputError when there are several data sets under `url`.
    """
    children: dict[tuple[str, ...], set[str]] = {}
    for folder in folders:
        parts = tuple(folder.split("/")) if folder else ()
        for depth, name in enumerate(parts):
            children.setdefault(parts[:depth], set()).add(name)
    return _find(lambda parts: sorted(name for name in children.get(parts, ()) if not is_junk_folder(name)), url)


def place_of(path: str, layout: Layout) -> Place:
    """What a path relative to the data set's own folder says of its split and label. Without split folders all is
    train."""
    folders = path.split("/", 2)[:-1]
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


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one; a link that leads to itself is none: reading it as a file tells."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _find(children: _Children, root: str) -> Layout:
    here: tuple[str, ...] = ()
    folders = children(here)
    while not any(_is_split(name) for name in folders):
        wrappers = [name for name in folders if any(_is_split(inner) for inner in children((*here, name)))]
        if len(wrappers) > 1:
            first = "/".join((root.rstrip("/"), *here, wrappers[0]))
            raise InputError(
                f"{root} holds several data sets (folders with splits in them): {', '.join(wrappers)}",
                hint=f"scan one, cxr data scan {first}, or lay it out as <split>/<label>/…",
            )
        if not wrappers and len(folders) != 1:
            return Layout("", False)
        here = (*here, (wrappers or folders)[0])
        folders = children(here)
    return Layout("/".join(here), True)


def _is_split(name: str) -> bool:
    return name.lower() in SPLIT_FOLDERS


def _folders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if is_folder(entry) and not is_junk_folder(entry.name))
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


def _folders_below(folder: Path) -> list[str]:
    try:
        return _folders(folder)
    except (InputError, NotAllowed, Fault):
        return []  # the scan reports it
