"""SIGTERM, the notice before a machine is taken away: heard where the training's state is consistent."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def deferred_sigterm() -> Iterator[Callable[[], bool]]:
    """Within the block SIGTERM only makes the function that it gives return True; leaving the block then raises
    KeyboardInterrupt. In another thread than the main one, which hears no signals, nothing is changed."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked = False

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        del number, frame
        asked = True

    before = signal.signal(signal.SIGTERM, remember)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)
    if asked:
        raise KeyboardInterrupt
