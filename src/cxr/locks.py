"""One at a time: what two processes of one working folder must not do at once."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cxr.errors import CxrError


@contextmanager
def only_one(state_dir: Path, name: str, *, busy: CxrError | None = None) -> Iterator[None]:
    """Nobody else with this state folder is in a block of the same name meanwhile; whoever dies leaves it. The second
    waits, or with `busy` is refused with that error."""
    folder = state_dir / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError:
            if busy is None:
                raise
            raise busy from None
        yield
    finally:
        os.close(descriptor)
