"""The files below a folder: each with what the file system says of it and where it stands in the layout."""

from __future__ import annotations

import re
import stat
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cxr.manifests.manifest import Problem
from cxr.manifests.scan.layout import Layout, Place, is_junk_file, is_junk_folder, place_of
from cxr.manifests.scan.problems import printable, problem
from cxr.manifests.scan.walk import walk_files
from cxr.progress import Progress

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

    def tell(self, rule: str, path: str, message: str) -> None:
        """Note a problem."""
        self.problems.append(problem(rule, path, message))

    def place(self, relative: str) -> Place | None:
        """Where a file belongs, or None (and a problem) when it is a leftover, has a bad name or lies outside."""
        folder, _, name = relative.rpartition("/")
        if is_junk_file(name):
            self.tell("junk", relative, "a desktop's leftover")
            return None
        if printable(relative) != relative:
            self.tell("bad-name", relative, "its name is not UTF-8 or has control characters")
            return None
        if folder not in self._places:
            self._places[folder] = place_of(relative, self.layout) if is_plain_folder(folder) else None
        place = self._places[folder]
        if place is None:
            self.tell("bad-name", relative, "its folders are no plain path")
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
            self.tell(rule, path, "lies beside the data set's own folder and was left out")


def is_plain_folder(folder: str) -> bool:
    """Whether a manifest's path may lie in this folder (see row_rules): an object's name can have any parts."""
    return not folder or not (_NOT_PLAIN.intersection(folder.split("/")) or _DRIVE.match(folder))


def find_files(root: Path, layout: Layout, on_progress: Progress) -> FilesFound:
    """Walk the data set's own folder below `root` (see `walk_files`); what cannot be used is a problem, nothing is
    fatal."""
    found = FilesFound(layout)
    base = root / layout.wrapper
    _note_neighbours(root, found)
    for relative, entry in walk_files(base, layout, found.tell):
        place = found.place(relative)
        if place is None:
            continue
        try:
            status = entry.stat()
        except OSError as error:
            words = f"cannot be read: {error.strerror or error}"
            found.tell("unreadable", relative, words)
            continue
        if not stat.S_ISREG(status.st_mode):
            found.tell("other-file", relative, "not a regular file")
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
