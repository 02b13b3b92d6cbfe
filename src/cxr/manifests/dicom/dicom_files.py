"""The DICOM files of a folder: found by their magic bytes, placed by their folders."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from cxr.manifests.dicom.problems import dicom_problem
from cxr.manifests.manifest import Problem
from cxr.manifests.scan.image_file import DICOM_MAGIC, DICOM_MAGIC_AT, MAX_BYTES
from cxr.manifests.scan.layout import Layout, find_layout, is_junk_file, place_of
from cxr.manifests.scan.problems import printable
from cxr.manifests.scan.walk import walk_files


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
    found: list[DicomFile] = []
    outside: Counter[str] = Counter()
    problems: list[Problem] = []

    def tell(rule: str, path: str, message: str) -> None:
        problems.append(dicom_problem(rule, path, message))

    for relative, entry in walk_files(base, layout, tell):
        if is_junk_file(entry.name):
            tell("junk", relative, "a desktop's leftover")
            continue
        path, place = base / relative, place_of(relative, layout)
        if place.outside:
            outside[relative.split("/")[0]] += 1
        elif (odd := _oddity(path, relative)) is not None:
            problems.append(odd)
        elif not place.label:
            tell("no-label", relative, "lies in no label's folder")
        elif printable(place.label) != place.label:
            tell("bad-name", relative, "its label's folder has a name that is not plain")
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
            head = stream.read(DICOM_MAGIC_AT + len(DICOM_MAGIC))
    except OSError as error:
        return dicom_problem("unreadable", relative, f"cannot be read: {error.strerror}")
    if head[DICOM_MAGIC_AT:] != DICOM_MAGIC:
        return dicom_problem("not-dicom", relative, "not DICOM" if size else "the file is empty (0 bytes)")
    if size > MAX_BYTES:
        return dicom_problem("too-large", relative, f"{size / 1e6:,.0f} MB: too large for a radiograph")
    return None
