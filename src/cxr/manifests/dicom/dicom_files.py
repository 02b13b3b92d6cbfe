"""The DICOM files of a folder: found by their magic bytes, placed by their folders."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cxr.manifests.dicom.problems import dicom_problem
from cxr.manifests.layout import Layout, find_layout, is_junk_file, is_junk_folder, place_of
from cxr.manifests.manifest import Problem
from cxr.manifests.problems import printable

#: PS3.10, 7.1: 128 bytes of anything, then these four.
MAGIC: Final = b"DICM"
MAGIC_OFFSET: Final = 128
#: Far above any radiograph; a file beyond it is not read into memory.
MAX_BYTES: Final = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class DicomFile:
    """A file that begins as DICOM does. `split` is empty in a layout without splits."""

    path: Path
    relative: str
    split: str
    label: str


def find_dicom_files(root: Path) -> tuple[list[DicomFile], list[Problem]]:
    """All DICOM files below `root` in the order of their paths, and what is to be said of the other files.

    Raises as `find_layout` does: InputError for a missing folder, NotAllowed when it cannot be read.
    """
    layout = find_layout(root)
    base = root / layout.wrapper
    problems: list[Problem] = []
    outside: Counter[str] = Counter()
    found: list[DicomFile] = []
    for path in _walk(base, problems):
        relative = path.relative_to(base).as_posix()
        if is_junk_file(path.name):
            problems.append(dicom_problem("junk", relative, "a desktop's leftover"))
            continue
        place = place_of(relative, layout)
        if place.outside:
            outside[relative.split("/")[0]] += 1
        elif (odd := _oddity(path, relative)) is not None:
            problems.append(odd)
        elif not place.label:
            problems.append(dicom_problem("no-label", relative, "lies in no label's folder"))
        elif printable(place.label) != place.label:
            problems.append(dicom_problem("bad-name", relative, "its label's folder has a name that is not plain"))
        else:
            found.append(DicomFile(path, relative, _split(place.split, layout), place.label))
    problems += [
        dicom_problem("outside-layout", folder, f"{count:,} files beside the split folders were left out")
        for folder, count in outside.items()
    ]
    return sorted(found, key=lambda file: file.relative), problems


def _split(split: str, layout: Layout) -> str:
    return split if layout.has_splits else ""


def _oddity(path: Path, relative: str) -> Problem | None:
    try:
        if not path.is_file():
            return dicom_problem("not-dicom", relative, "not a regular file")
        size = path.stat().st_size
        with path.open("rb") as stream:
            head = stream.read(MAGIC_OFFSET + len(MAGIC))
    except OSError as error:
        return dicom_problem("unreadable", relative, f"cannot be read: {error.strerror}")
    if head[MAGIC_OFFSET:] != MAGIC:
        return dicom_problem("not-dicom", relative, "not DICOM" if size else "the file is empty (0 bytes)")
    if size > MAX_BYTES:
        return dicom_problem("too-large", relative, f"{size / 1e6:,.0f} MB: too large for a radiograph")
    return None


def _walk(base: Path, problems: list[Problem]) -> Iterator[Path]:
    # Links to folders are followed, each folder once.
    def note(error: OSError) -> None:
        where = Path(error.filename or base)
        name = where.relative_to(base).as_posix() if where.is_relative_to(base) else where.name
        problems.append(dicom_problem("unreadable", name, f"folder cannot be read: {error.strerror}"))

    seen: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(base, followlinks=True, onerror=note):
        here = Path(folder)
        relative = here.relative_to(base)
        status = here.stat()
        if (status.st_dev, status.st_ino) in seen:
            problems.append(dicom_problem("folder-twice", relative.as_posix(), "leads to a folder read already"))
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        for junk in filter(is_junk_folder, folders):
            problems.append(dicom_problem("junk", (relative / junk).as_posix(), "a leftover folder"))
        folders[:] = sorted(name for name in folders if not is_junk_folder(name))
        for name in files:
            yield here / name
