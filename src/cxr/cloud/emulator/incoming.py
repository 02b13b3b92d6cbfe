"""A request's body on its way in: straight into its own memory when small, through a window into a file when large."""

from __future__ import annotations

import logging
import uuid
from pathlib import Path

from cxr.cloud.emulator.http import Body

#: Bodies above this size go to a file.
MEMORY_BYTES = 8 << 20
WINDOW_BYTES = 1 << 20
#: So much of the beginning can be looked at while the rest still comes.
BEGINNING_BYTES = 64 << 10
log = logging.getLogger(__name__)


class IncomingBody:
    """Bytes that arrive; `length` is what Content-Length announced, None for a chunked body.

    `failed`: the disk has refused them. What comes then is counted and thrown away.
    """

    def __init__(self, length: int | None, spool_dir: Path) -> None:
        self.length = length
        self.received = 0
        self.failed = False
        self._spool_dir = spool_dir
        self._path: Path | None = None
        self._window = bytearray(WINDOW_BYTES if length is None or length > WINDOW_BYTES else length)
        self._used = 0
        self._beginning = b""

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

    def beginning(self) -> bytes:
        """The first bytes of what has arrived, at most 64 KiB."""
        return self._beginning or bytes(memoryview(self._window)[: min(self._used, BEGINNING_BYTES)])

    def finish(self, limit: int | None = None) -> Body:
        """The body as it is now, at most its first `limit` bytes; incomplete when there should have been more."""
        if self._path is not None:
            self._flush()
        if self.failed:
            return Body(complete=False)
        complete = not self.missing and limit is None
        size = self.received if limit is None else min(limit, self.received)
        if self._path is None:
            return Body(self._window, None, size, complete)
        return Body(b"", self._path, size, complete)

    def drop(self) -> None:
        """Remove what was put on the disk."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _make_room(self) -> None:
        if (self.length is None or self.length <= MEMORY_BYTES) and self.received < MEMORY_BYTES:
            # It grows with what arrives: an announcement alone costs no memory.
            more = self.received if self.length is None else min(self.received, self.missing)
            self._window = self._window + bytearray(more)
            return
        if self._path is None:
            self._beginning = self.beginning()
            self._path = self._spool_dir / f"body-{uuid.uuid4().hex}"
        self._flush()

    def _flush(self) -> None:
        assert self._path is not None
        view, self._used = memoryview(self._window)[: self._used], 0
        if self.failed:
            return
        try:
            with self._path.open("ab") as stream:
                stream.write(view)
        except OSError as error:
            log.error("a body of %s bytes could not be kept: %s", self.length or "unknown", error)
            self.failed = True
            self._path.unlink(missing_ok=True)


def damage(body: Body, is_multipart: bool) -> None:
    """Change one byte of what is uploaded, as if it had happened on the way."""
    tail_start = max(0, body.size - 1024)
    tail = body.read(tail_start)
    position = tail.rfind(b"\r\n--") - 1 if is_multipart else len(tail) - 1
    if position < 0:
        return
    changed = bytes((tail[position] ^ 0xFF,))
    if body.path is None:
        assert isinstance(body.data, bytearray)
        body.data[tail_start + position] = changed[0]
        return
    with body.path.open("r+b") as stream:
        stream.seek(tail_start + position)
        stream.write(changed)
