"""An array of images on disk that knows which of its rows are there: beside the pixels lies a checksum of every row.

A row without a checksum has not been decoded, a row with another one is damaged. A killed process loses only the rows
that it was at: what it wrote is the system's to keep. A lost power line may leave a checksum without its pixels, in
whatever order the disk keeps things; that is found wherever rows are compared, which of more than CHECKED_BYTES is a
part, unless all are asked for.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt

from cxr.errors import Fault, NotAllowed
from cxr.files import private_folder
from cxr.local_baseline.images.preprocess import Pixels

#: Bytes that are compared with their checksums whenever a file is opened (a quarter of a second); of a larger file,
#: rows spread evenly over it.
CHECKED_BYTES = 1 << 30
#: Seconds between two looks at a file that another process is filling.
LOOK_S = 0.2

Rows = npt.NDArray[np.int64]
Sums = npt.NDArray[np.uint32]
#: What reading an .npy file raises that is absent, torn, empty, or something else. Any other error says nothing of it.
TORN = (FileNotFoundError, ValueError, EOFError)
OTHER_PLACE = "choose another place: --cache DIR"


@dataclass(frozen=True, slots=True)
class RowFile:
    """`pixels` uint8 [rows, height, width, channels] and `sums` uint32 [rows] (0: not decoded), both memory-mapped."""

    pixels: Pixels
    sums: Sums

    def put(self, row: int, pixels: Pixels) -> None:
        """Keep one decoded image."""
        self.pixels[row] = pixels
        self.sums[row] = checksum(pixels)

    def absent(self, rows: Rows) -> Rows:
        """Those of `rows` that are not decoded."""
        undecoded: Rows = rows[self.sums[rows] == 0]
        return undecoded

    def damaged(self, rows: Rows, *, every: bool = False) -> Rows:
        """Those of the decoded `rows` that are not what their checksums say; of many bytes a part is looked at,
        unless `every` is."""
        present = rows[self.sums[rows] != 0]
        most = max(1, CHECKED_BYTES // max(1, self.pixels[:1].nbytes))
        if len(present) > most and not every:
            present = present[np.linspace(0, len(present) - 1, most).astype(np.int64)]
        wrong = [row for row in present if checksum(self.pixels[row]) != self.sums[row]]
        return np.array(wrong, np.int64)


def checksum(pixels: Pixels) -> int:
    """crc32c of an image's pixels; never 0, which stands for no image."""
    return int(google_crc32c.value(pixels.tobytes())) or 1


def sums_path(path: Path) -> Path:
    """Where the checksums of a file's rows are."""
    return path.with_suffix(".sums.npy")


def open_rows(path: Path, shape: tuple[int, ...], *, writable: bool = False) -> RowFile | None:
    """Map a file and its checksums; None when one of them is absent, torn or of another shape. Raises Fault or
    NotAllowed when the system refuses to open them, which is no reason to make them anew."""
    mode: Any = "r+" if writable else "r"
    with _told(path, "open"):
        try:
            pixels, sums = (np.load(name, mmap_mode=mode) for name in (path, sums_path(path)))
        except TORN:
            return None
    fits = pixels.shape == shape and pixels.dtype == np.uint8 and sums.shape == shape[:1] and sums.dtype == np.uint32
    return RowFile(pixels, sums) if fits else None


def new_rows(path: Path, shape: tuple[int, ...]) -> RowFile:
    """Make the two files anew, without any image. Raises Fault when the disk refuses."""
    with _told(path):
        for name in (path, sums_path(path)):
            name.unlink(missing_ok=True)  # whoever has the old one mapped keeps it
        sums = np.lib.format.open_memmap(sums_path(path), mode="w+", dtype=np.uint32, shape=shape[:1])
        _claim(sums_path(path), 0, sums_path(path).stat().st_size)
        pixels = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    return RowFile(pixels, sums)


def claim_space(path: Path, file: RowFile, rows: Rows) -> None:
    """Take the disk space of `rows` now: a full disk found while writing through the map would kill the process
    (SIGBUS). Raises Fault when there is not enough."""
    each = file.pixels[:1].nbytes
    start = path.stat().st_size - len(file.pixels) * each
    ordered = np.sort(rows)
    with _told(path):
        for run in np.split(ordered, np.flatnonzero(np.diff(ordered) > 1) + 1):
            if len(run):
                _claim(path, start + int(run[0]) * each, len(run) * each)


@contextmanager
def only_one(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Alone among all processes that fill this file; `on_wait` hears now and then of having to wait. A killed process
    holds nothing. Raises Fault on a file system without locks, where two that begin at once would remove each other's
    file."""
    with _told(path):
        private_folder(path.parent)
        stream = path.with_suffix(".lock").open("ab")
    with stream:
        while not _locked(stream.fileno(), path):
            on_wait()
            time.sleep(LOOK_S)
        yield


def _locked(descriptor: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise Fault(
            f"the image cache {path.parent} cannot be locked: {error.strerror or error}",
            hint=f"its file system has no file locks; {OTHER_PLACE}",
        ) from error
    return True


def _claim(path: Path, start: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as stream:
            os.posix_fallocate(stream.fileno(), start, size)


@contextmanager
def _told(path: Path, doing: str = "write") -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise NotAllowed(f"no permission to {doing} the image cache {path.parent}", hint=OTHER_PLACE) from error
    except OSError as error:
        message = f"cannot {doing} the image cache {path.parent}: {error.strerror or error}"
        if error.errno == errno.EROFS:
            raise NotAllowed(message, hint=OTHER_PLACE) from error
        raise Fault(message, hint=f"free some space, or {OTHER_PLACE}" if doing == "write" else OTHER_PLACE) from error
