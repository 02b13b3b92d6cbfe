"""A wall clock that steps: on PYTHONPATH, every Python process adds the seconds in the file CXR_CHAOS_CLOCK to it.

What is left alone is what a step leaves alone: monotonic clocks. Files keep the real time, as on a server with a clock
of its own.
"""

from __future__ import annotations

import ctypes
import gc
import os
import time
from datetime import UTC, datetime, timedelta, tzinfo

_FILE = os.environ.get("CXR_CHAOS_CLOCK", "")
_time, _time_ns = time.time, time.time_ns


def _step_s() -> float:
    try:
        with open(_FILE, encoding="ascii") as stream:  # noqa: PTH123 - pathlib would be one more import of everything
            return float(stream.read() or 0)
    except (OSError, ValueError):
        return 0.0


def _set_datetime() -> None:
    """Change the methods of the class itself: compiled modules hold on to it."""
    members = gc.get_referents(datetime.__dict__)[0]
    real = members["now"].__get__(None, datetime)

    def now(tz: tzinfo | None = None) -> datetime:
        return real(tz) + timedelta(seconds=_step_s())

    members["now"] = staticmethod(now)
    members["utcnow"] = staticmethod(lambda: now(UTC).replace(tzinfo=None))
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetime))


if _FILE:
    time.time = lambda: _time() + _step_s()
    time.time_ns = lambda: _time_ns() + int(_step_s() * 1e9)
    _set_datetime()
