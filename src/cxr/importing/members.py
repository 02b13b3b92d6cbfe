"""Files of a model from elsewhere: what it names or holds is taken only where it lies in the model's own folder.

A model is downloaded, and what it says is not to be trusted: a name like `../../x` would write outside the bundle, and
a symbolic link would put a file of this machine's into it.
"""

from __future__ import annotations

from pathlib import Path, PureWindowsPath

from cxr.errors import InputError

#: Of a name between two slashes (NAME_MAX of Linux, macOS and, in UTF-16 units, Windows).
MAX_PART_BYTES = 255
MAX_PATH_BYTES = 1024
_COPY = "a link may lead to any file of this machine: put a copy of what is meant in its place (cp -rL)"


def member(folder: Path, name: object) -> Path:
    """The file in `folder` that a model calls `name`. Raises InputError for a name that is no relative path, or that
    leads out of the folder on this system or another, and for a symbolic link on the way."""
    if not isinstance(name, str) or not _is_inside(name):
        raise InputError(f"the file name {name!r} leads out of its folder")
    check_no_link(folder / name, folder)
    return folder / name


def check_no_link(path: Path, top: Path) -> None:
    """Raises InputError when `path`, or a folder between it and `top`, is a symbolic link; `top` itself may be one."""
    between = [one for one in path.parents if one.is_relative_to(top) and one != top]
    for one in (path, *between):
        if one.is_symlink():
            raise InputError(f"{one} is a symbolic link", hint=_COPY)


def check_tree(folder: Path) -> None:
    """Raises InputError when a folder that is to be copied whole holds anything but folders and files."""
    for path in sorted(folder.rglob("*")):
        check_no_link(path, folder)
        if not (path.is_file() or path.is_dir()):
            raise InputError(f"{path} is no file")


def _is_inside(name: str) -> bool:
    strange = not name or "\\" in name or "\0" in name or len(name.encode()) > MAX_PATH_BYTES
    if strange or PureWindowsPath(name).anchor:
        return False
    return all(part != ".." and len(part.encode()) <= MAX_PART_BYTES for part in name.split("/"))
