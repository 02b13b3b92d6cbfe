"""The status line of a transfer: files, bytes, rate, time left, retries."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from cxr.cli.out import PLAIN_PROGRESS_SECONDS, Out, printable

if TYPE_CHECKING:
    from cxr.storage.transfer.files import Tally

#: The rate is that of the last so many seconds.
_WINDOW_S: Final = 5.0
_REDRAW_S: Final = 0.1


@contextmanager
def transfer_line(out: Out, description: str) -> Iterator[Callable[[Tally], None]]:
    """One line that is drawn anew on a terminal, now and then a line elsewhere, nothing with --quiet."""
    if out.quiet:
        yield lambda tally: None
        return
    meter = _Meter(description)
    if not sys.stderr.isatty():
        yield _now_and_then(meter, out.say)
        return
    try:
        yield _redrawn(meter)
    finally:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def status_text(tally: Tally, description: str, rate: float, seconds_left: float | None) -> str:
    """The line: `rate` in bytes a second, `seconds_left` None when it cannot be told."""
    parts = [
        f"{description} {tally.files:,} of {tally.all_files:,} files",
        f"{tally.size / 1e6:,.1f} of {tally.all_size / 1e6:,.1f} MB",
        f"{rate / 1e6:,.1f} MB/s",
    ]
    if seconds_left is not None:
        minutes, seconds = divmod(int(seconds_left + 0.5), 60)
        parts.append(f"{minutes}:{seconds:02d} left")
    if tally.retries:
        parts.append(f"{tally.retries:,} retries")
    if tally.failed:
        parts.append(f"{tally.failed:,} failed")
    return "  ".join(parts)


class _Meter:
    def __init__(self, description: str) -> None:
        self._description = description
        self._seen: deque[tuple[float, int, int]] = deque()

    def text(self, tally: Tally) -> str:
        now = time.monotonic()
        self._seen.append((now, tally.size, tally.files))
        while now - self._seen[0][0] > _WINDOW_S and len(self._seen) > 2:
            self._seen.popleft()
        then, size, files = self._seen[0]
        seconds = max(now - then, 1e-9)
        rate, files_rate = max(0, tally.size - size) / seconds, (tally.files - files) / seconds
        left = None
        if rate > 0:
            left = (tally.all_size - tally.size) / rate
        elif files_rate > 0:
            left = (tally.all_files - tally.files) / files_rate
        return status_text(tally, self._description, rate if len(self._seen) > 1 else 0.0, left)


def _redrawn(meter: _Meter) -> Callable[[Tally], None]:
    import shutil

    drawn = 0.0

    def tell(tally: Tally) -> None:
        nonlocal drawn
        if time.monotonic() - drawn >= _REDRAW_S:
            drawn = time.monotonic()
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{printable(meter.text(tally))[:width]}\x1b[K", end="", file=sys.stderr, flush=True)

    return tell


def _now_and_then(meter: _Meter, say: Callable[[str], None]) -> Callable[[Tally], None]:
    last = time.monotonic()

    def tell(tally: Tally) -> None:
        nonlocal last
        text = meter.text(tally)
        if time.monotonic() - last >= PLAIN_PROGRESS_SECONDS:
            last = time.monotonic()
            say(text)

    return tell
