"""A folder that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cxr.bundle import BUNDLE_FILE
from cxr.errors import Fault, NotAllowed, UsageError

PART_SUFFIX = ".part"


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder` that takes its name when the block ends well and vanishes when it does not.

    What a killed process left beside it is removed first. A bundle or an empty folder at that place is replaced at the
    end. Raises UsageError when something else is there, NotAllowed or Fault when it cannot be written.
    """
    _check_replaceable(folder)
    _remove_leftovers(folder)
    part = folder.parent / f".{folder.name}.{socket.gethostname()}.{os.getpid()}{PART_SUFFIX}"
    try:
        part.mkdir(parents=True)
    except PermissionError as error:
        raise NotAllowed(f"no permission to write {folder}", hint="choose another place with --out") from error
    except OSError as error:
        raise Fault(f"cannot write {folder}: {error.strerror or error}") from error
    try:
        yield part
        _swap(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _check_replaceable(folder: Path) -> None:
    if folder.is_file():
        raise UsageError(f"{folder} is a file", hint="choose a folder with --out")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / BUNDLE_FILE).is_file():
        raise UsageError(f"{folder} holds other files than a bundle", hint="choose another folder with --out")


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
    folder.rename(old)
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
