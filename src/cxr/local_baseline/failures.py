"""Failures to write that a training, which costs money by the minute, survives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cxr.errors import CxrError, Interrupted


@contextmanager
def only_said(say: Callable[[str], None], what: str, *others: type[Exception]) -> Iterator[None]:
    """A place or a disk that fails in the block (CxrError, OSError, or one of `others`) leaves the block and is said,
    behind the words `what`."""
    survived: tuple[type[Exception], ...] = (CxrError, OSError, *others)
    try:
        yield
    except Interrupted:
        raise
    except survived as error:
        say(f"{what}: {words_of(error)}")


def words_of(error: Exception) -> str:
    """What a log says of an error, in one line: no numbers of errno, but the file."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error).partition("\n")[0]
