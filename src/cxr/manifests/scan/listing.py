"""From the listing of a bucket to a manifest: no object is read, so nothing is known of pixels.

Names tell splits, labels and patients as they do in a folder; sizes and checksums are those that the service lists.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd

from cxr.manifests.duplicates.same import duplicate_groups
from cxr.manifests.manifest import Manifest, ManifestHeader, Problem, new_manifest
from cxr.manifests.patients.keys import DEFAULT_READING, patient_reader
from cxr.manifests.scan.image_file import judge_size, looks_like_image
from cxr.manifests.scan.layout import is_junk_folder, listed_layout
from cxr.manifests.scan.problems import problem
from cxr.manifests.scan.rows import add_patients, check_labels, in_order, split_off_unlabelled
from cxr.manifests.scan.tree import FilesFound
from cxr.progress import Progress, silent
from cxr.storage import Listing, ObjectInfo

#: Objects between two words on the way.
_OBJECTS_PER_WORD: Final = 10_000


def scan_listing(listing: Listing, *, patient_key: str = DEFAULT_READING, on_progress: Progress = silent) -> Manifest:
    """A manifest of what lies in a place, from its listing alone; its root is the place's URL, or a wrapper below it.

    Width and height are 0, mode, format and sha256 empty, and nobody has looked for near-duplicates. Images with the
    same md5, or where that is not listed the same size and crc32c, are duplicates. Raises as `scan` does for what it
    finds, and what the listing raises.
    """
    reader = patient_reader(patient_key)
    listed = _Columns()
    for number, found in enumerate(listing.list(), 1):
        # Consoles make empty objects to show a folder; the one of the prefix itself has no name left.
        if found.name and not found.name.endswith("/"):
            listed.add(found)
        if number % _OBJECTS_PER_WORD == 0:
            on_progress(0, number, "listing")
    base, rows, problems = _sort_out(listed, listing.url)
    on_progress(len(listed.names), len(listed.names), "")
    rows, unlabelled = split_off_unlabelled(rows)
    problems += unlabelled
    check_labels(listing.url, rows, problems)
    rows["duplicate_group"] = duplicate_groups(rows)
    problems += add_patients(rows, reader)
    header = ManifestHeader(
        root=base, patient_key=reader.spec, problems=in_order(problems), decoded=False, near_duplicates=False
    )
    return new_manifest(rows, header)


@dataclass(slots=True)
class _Columns:
    """What is kept of each object: columns, as a million ObjectInfo would take 300 MB."""

    names: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    crc32cs: list[str] = field(default_factory=list)
    md5s: list[str] = field(default_factory=list)

    def add(self, found: ObjectInfo) -> None:
        self.names.append(found.name)
        self.sizes.append(found.size)
        self.crc32cs.append(found.crc32c)
        self.md5s.append(found.md5)


def _sort_out(listed: _Columns, url: str) -> tuple[str, pd.DataFrame, list[Problem]]:
    """The data set's own URL, the rows of what may be images, and a problem for everything else."""
    layout = listed_layout({name.rpartition("/")[0] for name in listed.names}, url)
    start = len(layout.wrapper) + 1 if layout.wrapper else 0
    found = FilesFound(layout)
    leftovers = _Leftovers()
    kept: list[int] = []
    rows: dict[str, list[str]] = {"path": [], "label": [], "split": []}
    for number, name in enumerate(listed.names):
        path = name[start:]
        if (start and found.is_beside(name)) or leftovers.hold(path):
            continue
        place = found.place(path)
        if place is None:
            continue
        bad = judge_size(path, listed.sizes[number])
        if bad is None and not looks_like_image(path):
            bad = problem("other-file", path, "not an image by its name")
        if bad is not None:
            found.problems.append(bad)
            continue
        kept.append(number)
        for column, value in (("path", path), ("label", place.label), ("split", place.split)):
            rows[column].append(value)
    found.finish()
    frame = pd.DataFrame({column: pd.Series(values, dtype="str") for column, values in rows.items()})
    frame["size"] = np.asarray([listed.sizes[number] for number in kept], dtype=np.int64)
    for column, sums in (("md5", listed.md5s), ("crc32c", listed.crc32cs)):
        frame[column] = pd.Series([sums[number] for number in kept], dtype="str")
    frame["sha256"] = ""
    return f"{url}/{layout.wrapper}".rstrip("/"), frame, found.problems + leftovers.problems()


class _Leftovers:
    """Objects below folders that desktops and archivers leave behind: told once a folder."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}
        self._counts: Counter[str] = Counter()

    def hold(self, path: str) -> bool:
        """Whether the object is one of them."""
        folder = path.rpartition("/")[0]
        if folder not in self._above:
            self._above[folder] = _junk_folder_of(folder)
        above = self._above[folder]
        self._counts.update([above] if above else [])
        return bool(above)

    def problems(self) -> list[Problem]:
        """One for each folder."""
        words = "a leftover folder"
        return [problem("junk", folder, f"{words} ({count:,} objects)") for folder, count in self._counts.items()]


def _junk_folder_of(folder: str) -> str:
    """The first folder on the way that is a leftover; "" for none."""
    parts = folder.split("/") if folder else []
    for depth, name in enumerate(parts, 1):
        if name not in {".", ".."} and is_junk_folder(name):
            return "/".join(parts[:depth])
    return ""
