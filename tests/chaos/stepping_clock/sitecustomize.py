"""A wall clock that steps: on PYTHONPATH, every Python process adds the seconds in the file CXR_CHAOS_CLOCK to it.

What is left alone is what a step leaves alone: monotonic clocks. Files keep the real time, as on a server with a clock
of its own.
"""

from __future__ import annotations

import datetime as module
import os
import time

_FILE = os.environ.get("CXR_CHAOS_CLOCK", "")
_now, _now_ns = time.time, time.time_ns
_real = module.datetime


def _step_s() -> float:
    try:
        with open(_FILE, encoding="ascii") as stream:  # noqa: PTH123 - before anything else is imported
            return float(stream.read() or 0)
    except (OSError, ValueError):
        return 0.0


class _AlsoReal(type):
    """What C code makes is of the real class."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _real)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _real)


class _Stepping(_real, metaclass=_AlsoReal):
    @classmethod
    def now(cls, tz: module.tzinfo | None = None) -> module.datetime:
        return _real.now(tz) + module.timedelta(seconds=_step_s())

    @classmethod
    def utcnow(cls) -> module.datetime:
        return _real.now(module.UTC).replace(tzinfo=None) + module.timedelta(seconds=_step_s())


if _FILE:
    time.time = lambda: _now() + _step_s()
    time.time_ns = lambda: _now_ns() + int(_step_s() * 1e9)
    _Stepping.__name__ = _Stepping.__qualname__ = "datetime"
    _Stepping.__module__ = "datetime"
    module.datetime = _Stepping  # type: ignore[misc]
