"""Which files a built page consists of: the list by which its service worker keeps them for offline use."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from cxr.documents import parse_json
from cxr.errors import InputError
from cxr.webapp.headers import INDEX
from cxr.webapp.page import read_page

WORKER = "service-worker.js"
_LIST = "self.CXR_KEPT="


def files_of(folder: Path) -> tuple[str, ...]:
    """The files of a page (POSIX paths within it): all that its service worker may keep, and the worker.

    What else lies in the folder is no part of the page. Raises InputError when the folder is no page, or one of its
    files is missing.
    """
    read_page(folder)
    names = (*sorted(_kept(folder / WORKER)), WORKER)
    for name in names:
        if not (folder / name).is_file():
            raise InputError(
                f"the page {folder} lacks its file {name}", hint="build it again: cxr web build BUNDLE OUT"
            )
    if INDEX not in names:
        raise InputError(f"the page {folder} has no {INDEX}", hint="build it again: cxr web build BUNDLE OUT")
    return names


def others_in(folder: Path) -> list[str]:
    """Files in the page's folder that are not its own."""
    own = set(files_of(folder))
    found = (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file())
    return [name for name in found if name not in own]


def _kept(worker: Path) -> set[str]:
    try:
        first = worker.read_text(encoding="utf-8").partition("\n")[0]
        if not first.startswith(_LIST):
            raise ValueError("it does not begin with a list of files")
        names = parse_json(first.removeprefix(_LIST).rstrip().rstrip(";"))["files"]
        if not all(isinstance(name, str) and _is_inside(name) for name in names):
            raise ValueError("it names files that are not in the page")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{worker} is not that of a built page: {error}", hint="build the page again: cxr web build BUNDLE OUT"
        ) from error
    return set(names) - {WORKER}


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts and path.as_posix() == name
