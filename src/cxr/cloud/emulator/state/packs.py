"""Packs: many small objects one after another in a few large files that only grow.

Making a file costs more than everything else in storing a small object. A place is `SEGMENT:OFFSET:LENGTH`; nothing
reads it before the database knows it, so what a crash or a full disk left between two places is never looked at.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

#: Where the next segment begins.
SEGMENT_BYTES = 256 << 20
#: Segments that are kept open for reading.
OPEN_SEGMENTS = 64
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the packs some bytes are."""

    segment: int
    offset: int
    length: int

    def __str__(self) -> str:
        return f"{self.segment}:{self.offset}:{self.length}"

    @classmethod
    def parse(cls, text: str) -> Place | None:
        """The place that `str` wrote; None for what is none."""
        parts = text.split(":")
        return cls(*map(int, parts)) if len(parts) == 3 else None


class _OpenSegment:
    """A descriptor that closes itself when the last reader has let go of it."""

    def __init__(self, path: Path, flags: int) -> None:
        self.descriptor = os.open(path, flags, 0o666)

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)


class Packs:
    """A folder of segments. Safe to use from several threads."""

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._lock = threading.Lock()
        self._live: dict[int, int] = dict.fromkeys(self._numbers(), 0)
        self._current = max(self._live, default=0)
        self._end = self._size(self._current)
        self._writer: _OpenSegment | None = None
        self._readers: OrderedDict[int, _OpenSegment] = OrderedDict()

    def append(self, data: bytes) -> Place:
        """Store bytes. Raises OSError (a full disk, say) and then has stored nothing."""
        with self._lock:
            if self._writer is None or self._end >= self._segment_bytes:
                self._next_segment()
            assert self._writer is not None
            _write_all(self._writer.descriptor, data, self._end)
            place = Place(self._current, self._end, len(data))
            self._end += len(data)
            self._live[self._current] += len(data)
        return place

    def read(self, place: Place, start: int, length: int) -> bytes:
        """Bytes of one place. Raises FileNotFoundError when its segment is gone, or cut off before their end."""
        count = min(length, place.length - start)
        if count <= 0:
            return b""  # nothing keeps the segment of an empty object
        data = os.pread(self._reader(place.segment).descriptor, count, place.offset + start)
        if len(data) != count:
            raise FileNotFoundError(f"{self._path(place.segment)} ends before {place} does")
        return data

    def remove(self, place: Place) -> None:
        """Forget a place; a full segment that holds nothing else is removed."""
        with self._lock:
            self._live[place.segment] = self._live.get(place.segment, 0) - place.length
            if self._is_full(place.segment) and self._live[place.segment] <= 0:
                self._unlink(place.segment)

    def count_live(self, places: Iterable[Place]) -> int:
        """Take stock at the start: what is wanted; segments that hold nothing wanted are removed. How many were."""
        ends: dict[int, int] = {}
        for place in places:
            if place.length:
                self._live[place.segment] = self._live.get(place.segment, 0) + place.length
                ends[place.segment] = max(ends.get(place.segment, 0), place.offset + place.length)
        self._current = max(self._live, default=0)
        self._end = self._size(self._current)
        # Nothing is put where wanted bytes have been lost: their places would show the new bytes, or a hole's zeros.
        if self._end < ends.get(self._current, 0) or self._live.get(self._current, 0) * 2 < self._end:
            self._end = self._segment_bytes
        for number, end in sorted(ends.items()):
            if self._size(number) < end:
                log.error("%s is missing or cut off: objects in it cannot be read", self._path(number))
        unwanted = [number for number, live in self._live.items() if live <= 0 and self._is_full(number)]
        for number in unwanted:
            self._unlink(number)
        return len(unwanted)

    def sparse_segments(self) -> list[int]:
        """Full segments of which less than half is still wanted."""
        return [
            number for number, live in self._live.items() if self._is_full(number) and live * 2 < self._size(number)
        ]

    def _is_full(self, number: int) -> bool:
        return number != self._current or self._end >= self._segment_bytes

    def _next_segment(self) -> None:
        # The last segment of the server before is gone on with, behind whatever it left.
        if self._current == 0 or self._end >= self._segment_bytes:
            self._current, self._end = self._current + 1, 0
            self._live[self._current] = 0
        self._writer = _OpenSegment(self._path(self._current), os.O_RDWR | os.O_CREAT)

    def _reader(self, number: int) -> _OpenSegment:
        with self._lock:
            segment = self._readers.get(number)
            if segment is None:
                segment = self._readers[number] = _OpenSegment(self._path(number), os.O_RDONLY)
                if len(self._readers) > OPEN_SEGMENTS:
                    self._readers.popitem(last=False)
            return segment

    def _unlink(self, number: int) -> None:
        self._live.pop(number, None)
        self._readers.pop(number, None)
        self._path(number).unlink(missing_ok=True)

    def _size(self, number: int) -> int:
        try:
            return self._path(number).stat().st_size
        except FileNotFoundError:
            return 0

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08d}.pack"

    def _numbers(self) -> list[int]:
        return [int(path.stem) for path in self._folder.glob("*.pack") if path.stem.isdigit()]


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    written = os.pwrite(descriptor, data, offset)
    while written < len(data):
        written += os.pwrite(descriptor, memoryview(data)[written:], offset + written)
