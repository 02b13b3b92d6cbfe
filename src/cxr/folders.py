"""A folder that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cxr.bundle import BUNDLE_FILE, DESKTOP_FILES, read_bundle
from cxr.errors import Fault, InputError, NotAllowed, UsageError
from cxr.files import unwritable

PART_SUFFIX = ".part"


@contextmanager
def replaced_folder(folder: Path, *, marker: str = BUNDLE_FILE) -> Iterator[Path]:
    """A new folder beside `folder` that takes its name when the block ends well and vanishes when it does not.

    What a killed process left beside it is removed first. A folder of the same kind, which is one that has the file
    `marker`, or an empty folder at that place is replaced at the end. Raises UsageError when something else is there,
    NotAllowed or Fault when it cannot be written.
    """
    check_replaceable(folder, marker=marker)
    _remove_leftovers(folder)
    part = folder.parent / f".{folder.name}.{socket.gethostname()}.{os.getpid()}{PART_SUFFIX}"
    try:
        part.mkdir(parents=True)
    except PermissionError as error:
        raise NotAllowed(f"no permission to write {folder}", hint="choose another place with --out") from error
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        yield part
        _swap(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def check_replaceable(folder: Path, *, marker: str = BUNDLE_FILE) -> None:
    """Raises UsageError when something else than a bundle (or what `marker` is the file of) is at that place, or
    somebody stands in it, NotAllowed when it cannot be written: all that can be known before there is anything to
    write."""
    check_writable(folder)
    if Path.cwd().is_relative_to(folder.resolve()):
        raise UsageError(
            f"{folder} is the folder that this program runs in, or above it: it cannot be replaced",
            hint="choose another folder with --out",
        )
    if folder.is_dir() and any(folder.iterdir()) and not (folder / marker).is_file():
        kind = "a bundle" if marker == BUNDLE_FILE else f"what {marker} belongs to"
        raise UsageError(f"{folder} holds other files than {kind}", hint="choose another folder with --out")


def check_writable(folder: Path) -> None:
    """Raises UsageError when `folder` or what should hold it is a file, NotAllowed when it cannot be made."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file", hint="choose a folder with --out")
    above = next(one for one in folder.absolute().parents if one.exists())
    if not above.is_dir():
        raise UsageError(f"{folder} cannot be a folder: {above} is a file", hint="choose a folder with --out")
    if not os.access(above, os.W_OK | os.X_OK):
        raise NotAllowed(f"no permission to write {folder}", hint="choose another place with --out")


def check_own_files(folder: Path) -> None:
    """Raises UsageError for a bundle with files beside it that are none of its own, which would go with it."""
    if not (folder / BUNDLE_FILE).is_file():
        return
    try:
        own = {file.path for file in read_bundle(folder, verify=False).info.files} | {BUNDLE_FILE}
    except InputError as error:
        raise UsageError(
            f"which files in {folder} are the bundle's cannot be read: {error.message}",
            hint="choose another --out, or remove that folder yourself",
        ) from error
    found = (path for path in sorted(folder.rglob("*")) if path.is_symlink() or not path.is_dir())
    foreign = [name for path in found if (name := path.relative_to(folder).as_posix()) not in own]
    foreign = [name for name in foreign if name.rpartition("/")[2] not in DESKTOP_FILES]
    if foreign:
        raise UsageError(
            f"{folder} holds {len(foreign):,} files that are not the bundle's and would go, the first is {foreign[0]}",
            hint="move them away, or choose another --out",
        )


def _remove_leftovers(folder: Path) -> None:
    for left in folder.parent.glob(f".{folder.name}.{socket.gethostname()}.*{PART_SUFFIX}"):
        process = left.name.removesuffix(PART_SUFFIX).rpartition(".")[2]
        if process.isdigit() and not _is_alive(int(process)):
            shutil.rmtree(left, ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _swap(part: Path, folder: Path) -> None:
    """Put `part` in place. The old folder is moved aside first, because a folder cannot be renamed over a full one."""
    if not folder.exists():
        part.rename(folder)
        return
    old = part.with_suffix(".old" + PART_SUFFIX)
    try:
        folder.rename(old)
    except OSError as error:  # a mount, say
        raise Fault(f"cannot replace {folder}: {error.strerror or error}", hint="choose another --out") from error
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
