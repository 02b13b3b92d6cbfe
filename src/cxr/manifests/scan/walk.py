"""The walk through a data set's folders: each folder once, links followed, what cannot be entered told."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from cxr.manifests.scan.layout import Layout, is_folder, is_junk_folder, place_of

#: Is told of a folder that is not walked: by the rules `junk`, `outside-layout`, `folder-twice` and `unreadable` (every
#: table of rules has them), its path and words.
Tell = Callable[[str, str, str], None]

_TWICE: Final = "leads to a folder that was read already"


def walk_files(base: Path, layout: Layout, tell: Tell) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Whatever lies below `base`, the data set's own folder, and is no folder: its path relative to `base` (POSIX), and
    its entry.

    Links to folders are followed (data sets are often linked together), each folder once and under its own name where
    it has one. Leftover folders, and links beside the split folders, are told and left alone; a real folder beside the
    split folders is walked, after all others. Nothing is fatal.
    """
    # Real folders first, then links, the shallow before the deep: a link takes no image from the folder it leads to.
    # Folders beside the split folders come last: what the layout links to may lie there.
    seen: set[tuple[int, int]] = set()
    waiting, beside = [""], list[str]()
    links: deque[str] = deque()
    while waiting or links or beside:
        folder = waiting.pop() if waiting else links.popleft() if links else beside.pop()
        folders = []
        for entry in _entries(base, folder, seen, tell):
            relative = f"{folder}/{entry.name}" if folder else entry.name
            if not is_folder(entry):
                yield relative, entry
            elif is_junk_folder(entry.name):
                tell("junk", relative, "a leftover folder")
            elif entry.is_symlink():
                if _is_outside(relative, layout):
                    tell("outside-layout", relative, "a link that was not followed")
                else:
                    links.append(relative)
            elif not folder and _is_outside(relative, layout):
                beside.append(relative)
            else:
                folders.append(relative)
        waiting += reversed(folders)


def _entries(base: Path, folder: str, seen: set[tuple[int, int]], tell: Tell) -> Sequence[os.DirEntry[str]]:
    """What lies in a folder, by name; nothing (and a word) where it was seen before or cannot be read."""
    try:
        status = (base / folder).stat()
        if (status.st_dev, status.st_ino) in seen:
            tell("folder-twice", folder, _TWICE)
            return ()
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(base / folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        tell("unreadable", folder or ".", f"folder cannot be read: {error.strerror or error}")
        return ()


def _is_outside(folder: str, layout: Layout) -> bool:
    return place_of(f"{folder}/", layout).outside
