"""SIGTERM and SIGHUP (a terminal that is closed): heard like Ctrl-C where something that costs has to be removed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

HEARD = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def heard_as_ctrl_c() -> Iterator[Callable[[], None]]:
    """Within the block the first SIGTERM or SIGHUP raises KeyboardInterrupt, and later ones do nothing: a closed
    terminal sends several, which shall not stop the tidying up. The function that it gives makes the first one do
    nothing, too. What is ignored (nohup) stays so. In another thread than the main one, which hears no signals, nothing
    is changed."""
    heard = False

    def do_not_hear() -> None:
        nonlocal heard
        heard = True

    if threading.current_thread() is not threading.main_thread():
        yield do_not_hear
        return

    def raise_once(number: int, frame: FrameType | None) -> None:
        nonlocal heard
        del number, frame
        if not heard:
            heard = True
            raise KeyboardInterrupt

    before = {one: signal.getsignal(one) for one in HEARD}
    changed = [one for one in HEARD if before[one] is not signal.SIG_IGN]
    try:
        for one in changed:
            signal.signal(one, raise_once)
        yield do_not_hear
    finally:
        for one in changed:
            signal.signal(one, before[one] or signal.SIG_DFL)
