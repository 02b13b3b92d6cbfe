"""What progress callbacks look like, and one that says nothing."""

from __future__ import annotations

from collections.abc import Callable

#: `on_progress(done, total, note)`.
Progress = Callable[[int, int, str], None]


def silent(done: int, total: int, note: str) -> None:
    """A callback for those who do not want to know."""
    del done, total, note
