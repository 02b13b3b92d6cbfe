"""The files that are uploaded, with their checksums, which a manifest would know."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from cxr.storage.checksums import crc32c_of_bytes


@dataclass(frozen=True, slots=True)
class Files:
    """`count` files of `size` bytes in `folder`; `list` holds a line for each (see usage.lines_of), `paths` its path.

    A list may name more objects than there are files: see client_ours.
    """

    folder: Path
    list: Path
    paths: Path
    count: int
    size: int


def make_files(parent: Path, count: int, size: int, *, on_disk: int | None = None) -> Files:
    """Random bytes; with `on_disk` only so many files, each standing for many names."""
    folder = parent / f"{size}-{count}"
    folder.mkdir(parents=True)
    files = Files(folder, parent / f"{folder.name}.list", parent / f"{folder.name}.paths", count, size)
    sums: list[str] = []
    for number in range(on_disk or count):
        data = os.urandom(size)
        (folder / _name(number)).write_bytes(data)
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        sums.append(f"{size}\t{crc32c_of_bytes(data)}\t{md5}\t{hashlib.sha256(data).hexdigest()}")
    with files.list.open("w") as lines, files.paths.open("w") as paths:
        for number in range(count):
            stands = number % len(sums)
            lines.write(f"{_name(number)}\t{folder / _name(stands)}\t{sums[stands]}\n")
            paths.write(f"{folder / _name(stands)}\n")
    return files


def _name(number: int) -> str:
    return f"{number:07d}.jpeg"
