"""SIGTERM, the notice before a machine is taken away, and Ctrl-C: heard where the training's state is consistent."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

DEFERRED = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def deferred_signals() -> Iterator[Callable[[], bool]]:
    """Within the block the first SIGTERM or Ctrl-C only makes the function that it gives return True; leaving the block
    then raises KeyboardInterrupt. A second Ctrl-C, of somebody who does not want to wait, raises it at once. What is
    ignored stays so. In another thread than the main one, which hears no signals, nothing is changed."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked = False

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        del frame
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked = True

    before = {one: signal.getsignal(one) for one in DEFERRED}
    changed = [one for one in DEFERRED if before[one] is not signal.SIG_IGN]
    for one in changed:
        signal.signal(one, remember)
    try:
        yield lambda: asked
    finally:
        for one in changed:
            handler = before[one]
            signal.signal(one, handler if handler is not None else signal.SIG_DFL)
    if asked:
        raise KeyboardInterrupt


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Within the block SIGTERM raises KeyboardInterrupt, so that what is half done is tidied up. In another thread than
    the main one nothing is changed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def unwind(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGTERM)
    if before is signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)
