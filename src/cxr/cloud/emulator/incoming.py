"""A request's body on its way in: straight into its own memory when small, through a window into a file when large."""

from __future__ import annotations

import uuid
from pathlib import Path

from cxr.cloud.emulator.http import Body

#: Bodies above this size go to a file.
MEMORY_BYTES = 8 << 20
WINDOW_BYTES = 1 << 20


class IncomingBody:
    """Bytes that arrive; `length` is what Content-Length announced, None for a chunked body."""

    def __init__(self, length: int | None, spool_dir: Path) -> None:
        self.length = length
        self.received = 0
        self._spool_dir = spool_dir
        self._path: Path | None = None
        whole = length is not None and length <= MEMORY_BYTES
        self._window = bytearray(length if whole and length is not None else WINDOW_BYTES)
        self._used = 0

    @property
    def missing(self) -> int:
        """How many of the announced bytes have not come."""
        return 0 if self.length is None else self.length - self.received

    def space(self) -> memoryview:
        """Where the next bytes are to be put; never more than are missing."""
        room = memoryview(self._window)[self._used :]
        return room if self.length is None else room[: self.missing]

    def filled(self, count: int) -> None:
        """`count` bytes have been put into `space()`."""
        self._used += count
        self.received += count
        if self._used == len(self._window) and self.received != self.length:
            self._make_room()

    def append(self, data: bytes | bytearray | memoryview) -> int:
        """Take bytes that arrived elsewhere; how many were wanted."""
        taken, view = 0, memoryview(data)
        while taken < len(view) and (self.length is None or self.missing):
            room = self.space()
            count = min(len(room), len(view) - taken)
            room[:count] = view[taken : taken + count]
            room.release()
            self.filled(count)
            taken += count
        return taken

    def so_far(self) -> memoryview:
        """What has arrived, as long as it is all in memory."""
        return memoryview(self._window)[: self._used]

    def finish(self, limit: int | None = None) -> Body:
        """The body as it is now, at most its first `limit` bytes; incomplete when there should have been more."""
        complete = not self.missing and limit is None
        size = self.received if limit is None else min(limit, self.received)
        if self._path is None:
            return Body(self._window, None, size, complete)
        self._flush()
        return Body(b"", self._path, size, complete)

    def drop(self) -> None:
        """Remove what was put on the disk."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _make_room(self) -> None:
        if self.length is None and self.received < MEMORY_BYTES:
            self._window = self._window + bytearray(len(self._window))
            return
        self._path = self._path or self._spool_dir / f"body-{uuid.uuid4().hex}"
        self._flush()

    def _flush(self) -> None:
        assert self._path is not None
        with self._path.open("ab") as stream:
            stream.write(memoryview(self._window)[: self._used])
        self._used = 0
