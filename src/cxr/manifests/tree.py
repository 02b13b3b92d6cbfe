"""The files below a folder: each with what the file system says of it and where it stands in the layout."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cxr.manifests.layout import Layout, Place, is_junk_file, is_junk_folder, place_of
from cxr.manifests.manifest import Problem
from cxr.manifests.problems import printable, problem
from cxr.manifests.progress import Progress

_NOT_PLAIN: Final = frozenset({"", ".", ".."})
#: A path that begins with a drive's letter means something else elsewhere.
_DRIVE: Final = re.compile(r"[A-Za-z]:(?:[\\/]|$)")
#: What a manifest's record can hold of a time (in nanoseconds: the years 1677 to 2262) and of an inode.
_TIMES_NS: Final = (1 - 2**63, 2**63 - 1)
_INODE_MASK: Final = 2**64 - 1
#: Files found between two words on the way.
_FILES_PER_WORD: Final = 5000


@dataclass(frozen=True, slots=True)
class TreeFile:
    """A regular file: its path relative to the data set's folder (POSIX), where that stands in the layout, size in
    bytes, modification time in nanoseconds and inode."""

    relative: str
    place: Place
    size: int
    mtime_ns: int
    inode: int


@dataclass(slots=True)
class FilesFound:
    """What a walk finds: the files to read, and problems with those that are not."""

    layout: Layout
    files: list[TreeFile] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    outside: Counter[str] = field(default_factory=Counter)
    neighbours: set[str] = field(default_factory=set)
    _places: dict[str, Place | None] = field(default_factory=dict)

    def place(self, relative: str) -> Place | None:
        """Where a file belongs, or None (and a problem) when it is a leftover, has a bad name or lies outside."""
        folder, _, name = relative.rpartition("/")
        if is_junk_file(name):
            self.problems.append(problem("junk", relative, "a desktop's leftover"))
            return None
        if printable(relative) != relative:
            self.problems.append(problem("bad-name", relative, "its name is not UTF-8 or has control characters"))
            return None
        if folder not in self._places:
            self._places[folder] = place_of(relative, self.layout) if is_plain_folder(folder) else None
        place = self._places[folder]
        if place is None:
            self.problems.append(problem("bad-name", relative, "its folders are no plain path"))
            return None
        if place.outside:
            self.outside[relative.partition("/")[0]] += 1
            return None
        return place

    def is_beside(self, path: str) -> bool:
        """Whether a path, relative to what was scanned, leads away from the data set's own folder. That is noted."""
        if not self.layout.wrapper or f"{path}/".startswith(f"{self.layout.wrapper}/"):
            return False
        wrapper, parts = self.layout.wrapper.split("/"), path.split("/")
        depth = next(depth for depth, name in enumerate(wrapper) if parts[depth : depth + 1] != [name])
        if depth < len(parts):
            self.neighbours.add("/".join([*[".."] * (len(wrapper) - depth), parts[depth]]))
        return True

    def finish(self) -> None:
        """Sort the files by path and tell of what lies beside the split folders and beside the data set's folder."""
        self.files.sort(key=lambda file: file.relative)
        self.problems += [
            problem("outside-layout", folder, f"{count:,} files beside the split folders were left out")
            for folder, count in self.outside.items()
        ]
        for path in self.neighbours:
            name = path.rpartition("/")[2]
            rule = "junk" if is_junk_file(name) or is_junk_folder(name) else "outside-layout"
            self.problems.append(problem(rule, path, "lies beside the data set's own folder and was left out"))


def is_plain_folder(folder: str) -> bool:
    """Whether a manifest's path may lie in this folder (see row_rules): an object's name can have any parts."""
    return not folder or not (_NOT_PLAIN.intersection(folder.split("/")) or _DRIVE.match(folder))


def find_files(root: Path, layout: Layout, on_progress: Progress) -> FilesFound:
    """Walk the data set's own folder below `root`. Links to folders are followed (data sets are often linked together),
    each folder once and under its own name where it has one; what cannot be used is a problem, nothing is fatal."""
    found = FilesFound(layout)
    base = root / layout.wrapper
    _note_neighbours(root, found)
    for relative, entry in _walk(base, found):
        place = found.place(relative)
        if place is None:
            continue
        try:
            status = entry.stat()
        except OSError as error:
            words = f"cannot be read: {error.strerror or error}"
            found.problems.append(problem("unreadable", relative, words))
            continue
        if not stat.S_ISREG(status.st_mode):
            found.problems.append(problem("other-file", relative, "not a regular file"))
            continue
        mtime_ns = min(max(status.st_mtime_ns, _TIMES_NS[0]), _TIMES_NS[1])
        found.files.append(TreeFile(relative, place, status.st_size, mtime_ns, status.st_ino & _INODE_MASK))
        if len(found.files) % _FILES_PER_WORD == 0:
            on_progress(0, len(found.files), "looking for files")
    found.finish()
    return found


def _note_neighbours(root: Path, found: FilesFound) -> None:
    wrapper = found.layout.wrapper.split("/") if found.layout.wrapper else []
    for depth in range(len(wrapper)):
        above = wrapper[:depth]
        for entry in root.joinpath(*above).iterdir():
            found.is_beside("/".join([*above, entry.name]))


def _walk(base: Path, found: FilesFound) -> Iterator[tuple[str, os.DirEntry[str]]]:
    # Real folders first, then links, the shallow before the deep: a link takes no image from the folder it leads to.
    # Folders beside the split folders come last: what the layout links to may lie there.
    seen: set[tuple[int, int]] = set()
    waiting, beside = [""], list[str]()
    links: deque[str] = deque()
    while waiting or links or beside:
        folder = waiting.pop() if waiting else links.popleft() if links else beside.pop()
        folders = []
        for entry in _entries(base, folder, seen, found.problems):
            relative = f"{folder}/{entry.name}" if folder else entry.name
            if not _is_folder(entry):
                yield relative, entry
            elif is_junk_folder(entry.name):
                found.problems.append(problem("junk", relative, "a leftover folder"))
            elif entry.is_symlink():
                if _is_outside(relative, found.layout):
                    found.problems.append(problem("outside-layout", relative, "a link that was not followed"))
                else:
                    links.append(relative)
            elif not folder and _is_outside(relative, found.layout):
                beside.append(relative)
            else:
                folders.append(relative)
        waiting += reversed(folders)


def _entries(
    base: Path, folder: str, seen: set[tuple[int, int]], problems: list[Problem]
) -> Sequence[os.DirEntry[str]]:
    """What lies in a folder, by name; nothing (and a problem) where it was seen before or cannot be read."""
    try:
        status = (base / folder).stat()
        if (status.st_dev, status.st_ino) in seen:
            problems.append(problem("folder-twice", folder, "leads to a folder that was scanned already"))
            return ()
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(base / folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        problems.append(problem("unreadable", folder or ".", f"folder cannot be read: {error.strerror or error}"))
        return ()


def _is_outside(folder: str, layout: Layout) -> bool:
    return place_of(f"{folder}/", layout).outside


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link that leads to itself: reading it as a file tells
