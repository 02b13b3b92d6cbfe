"""What a transfer may take: time without progress, bytes a second; and the count of what has moved."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Final

from cxr.errors import Interrupted

#: Seconds for a connection to be made.
CONNECT_S: Final = 10.0
#: Seconds without a byte in either direction after which a request counts as stalled and is tried again.
STALL_S: Final = 60.0


class Pace:
    """Counts the bytes that threads move, holds them to `bytes_per_second` together, and ends them when `cancelled`.

    Every block that is sent or received passes through `take`.
    """

    def __init__(self, bytes_per_second: float | None = None, cancelled: threading.Event | None = None) -> None:
        self._rate = bytes_per_second
        self.cancelled = cancelled or threading.Event()
        self._lock = threading.Lock()
        self._free_at = 0.0
        self._moved = 0
        self.last_progress = 0.0
        self._by_thread: dict[int, int] = {}

    @property
    def rate(self) -> float | None:
        """Bytes a second at most."""
        return self._rate

    @property
    def moved(self) -> int:
        """All bytes so far, those of failed attempts included."""
        return self._moved

    def progressed(self) -> None:
        """The other side has taken, or given, part of a file: it is in reach, whatever becomes of other files."""
        self.last_progress = time.monotonic()

    def begin(self) -> None:
        """This thread starts on a file: what it moves counts as in flight."""
        with self._lock:
            self._by_thread[threading.get_ident()] = 0

    def end(self) -> None:
        """This thread is done with its file."""
        with self._lock:
            self._by_thread.pop(threading.get_ident(), None)

    def in_flight(self) -> int:
        """Bytes moved for files that are not done."""
        with self._lock:
            return sum(self._by_thread.values())

    def take(self, count: int) -> None:
        """Account for `count` bytes and wait until they may go. Raises Interrupted when the transfer is cancelled."""
        if self.cancelled.is_set():
            raise Interrupted("the transfer was cancelled")
        with self._lock:
            self._moved += count
            thread = threading.get_ident()
            if thread in self._by_thread:
                self._by_thread[thread] += count
            if self._rate is None:
                return
            now = time.monotonic()
            start = max(self._free_at, now)
            self._free_at = start + count / self._rate
        if start > now and self.cancelled.wait(start - now):
            raise Interrupted("the transfer was cancelled")


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a connection may take to be made and how long it may be silent, in seconds; and the pace."""

    connect_s: float = CONNECT_S
    stall_s: float = STALL_S
    pace: Pace = field(default_factory=Pace)
