"""How long work tells of itself: what the callbacks look like, and one that says nothing."""

from __future__ import annotations

from collections.abc import Callable

#: `on_progress(done, total, note)`: so many of so many are done, of whatever the work counts (images, files, epochs,
#: requests), and what it is at ("" for nothing to say).
Progress = Callable[[int, int, str], None]
#: `say(line)`: one line for people, without its end.
Say = Callable[[str], None]


def silent(done: int, total: int, note: str) -> None:
    """A Progress for those who do not want to know."""
    del done, total, note
