"""Scores of a model that is not done with its split: kept in chunks, so that a killed scoring goes on where it was.

A chunk is a file that appears whole: a line of JSON, then its probabilities as they are in memory. It names what it was
made of (one digest of bundle, manifest, split, batch and versions) and its own checksum; what is torn, damaged or of
something else is scored again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr.compare.predictors.base import Probabilities
from cxr.documents import parse_json
from cxr.files import write_bytes_atomically

SCHEMA_VERSION = 1
#: Seconds of scoring that may be lost, but for the batch that a model is at: what is quicker leaves no files.
KEPT_EVERY_S = 2.0
SUFFIX = ".scored"
#: How probabilities lie in a chunk: little-endian, in any machine's files.
STORED = np.dtype("<f8")

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class UnfinishedScores:
    """Where a scoring keeps what it has: files in `folder`, of `made_of` (a digest) only."""

    folder: Path
    made_of: str

    def read(self, images: int, classes: int) -> tuple[Probabilities, NDArray[np.bool_]]:
        """Probabilities float64 [images, classes] and which rows of them are there [images]; the others are NaN."""
        values = np.full((images, classes), np.nan)
        there = np.zeros(images, dtype=np.bool_)
        for path in self._paths():
            found = self._chunk(path, classes)
            if found is not None and found[0] + len(found[1]) <= images:
                rows = slice(found[0], found[0] + len(found[1]))
                values[rows], there[rows] = found[1], True
        return values, there

    def keep(self, start: int, probabilities: Probabilities) -> None:
        """Keep the rows from `start` on. Raises what `write_bytes_atomically` raises."""
        data = np.ascontiguousarray(probabilities, STORED).tobytes()
        head = {"schema_version": SCHEMA_VERSION, "made_of": self.made_of, "start": start, "images": len(probabilities)}
        line = json.dumps({**head, "sha256": hashlib.sha256(data).hexdigest()})
        write_bytes_atomically(self.folder / f"{start:09d}{SUFFIX}", line.encode() + b"\n" + data)

    def remove(self) -> None:
        """Forget everything, that of other versions too: the predictions are whole."""
        for path in self._paths():
            path.unlink(missing_ok=True)

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob(f"*{SUFFIX}")) if self.folder.is_dir() else []

    def _chunk(self, path: Path, classes: int) -> tuple[int, Probabilities] | None:
        """First row and probabilities; None for a chunk that is not to be used."""
        try:
            line, _, data = path.read_bytes().partition(b"\n")
            head: Any = parse_json(line)
        except (OSError, ValueError):
            return None
        if not isinstance(head, dict) or head.get("schema_version") != SCHEMA_VERSION:
            return None
        whole = head.get("sha256") == hashlib.sha256(data).hexdigest() and head.get("made_of") == self.made_of
        start, images = head.get("start"), head.get("images")
        if not whole or not isinstance(start, int) or not isinstance(images, int) or start < 0:
            return None
        if len(data) != images * classes * STORED.itemsize:
            return None
        return start, np.frombuffer(data, STORED).reshape(images, classes).astype(np.float64)


@dataclass(slots=True)
class Keeper:
    """Gathers batch after batch, and keeps them now and then: `add` each, `flush` when it ends early."""

    scores: UnfinishedScores
    clock: Clock = time.monotonic
    _start: int = 0
    _waiting: list[Probabilities] = field(default_factory=list)
    _kept_at: float = field(default=0.0)

    def __post_init__(self) -> None:
        self._kept_at = self.clock()

    def add(self, start: int, probabilities: Probabilities) -> None:
        """Take the rows from `start` on."""
        if self._waiting and start != self._start + sum(map(len, self._waiting)):
            self.flush()  # rows between them were there already
        if not self._waiting:
            self._start = start
        self._waiting.append(probabilities)
        if self.clock() - self._kept_at >= KEPT_EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Keep what was taken since the last time."""
        if self._waiting:
            self.scores.keep(self._start, np.concatenate(self._waiting))
        self._waiting = []
        self._kept_at = self.clock()


def absent_batches(there: NDArray[np.bool_], size: int) -> Iterator[tuple[int, int]]:
    """First and last (not included) row of each batch of `size` that has rows still to be scored. Batches lie where
    they would without any kept rows: what a batch holds may decide the last bits of a score."""
    for start in range(0, len(there), size):
        stop = min(start + size, len(there))
        if not there[start:stop].all():
            yield start, stop
