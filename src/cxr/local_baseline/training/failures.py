"""What a training meets: failures to write that it survives, because it costs money by the minute, and those that end
it, in words that say what to do next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cxr.errors import CxrError, Fault, Interrupted
from cxr.local_baseline.tensorflow_setup import load

#: How TensorFlow says that a disk is full: it has one kind of error for that and for memory.
DISK_WORDS = ("No space left", "Disk quota exceeded", "File too large")
#: How its CUDA parts say that the GPU's memory is full, under other kinds of error.
MEMORY_WORDS = ("OUT_OF_MEMORY", "out of memory", "OOM when allocating", "failed to allocate memory")


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


@contextmanager
def told_out_of_memory(batch_size: int) -> Iterator[None]:
    """Memory, of the machine or a GPU, that is full in the block is a Fault that says what to change."""
    try:
        yield
    except MemoryError as error:
        raise _out_of_memory(error, batch_size) from error
    except Exception as error:
        # Asked for here only: an error in the block may come before TensorFlow was loaded, and loading takes seconds.
        if not isinstance(error, load().tf.errors.OpError) or not _is_memory(error):
            raise
        raise _out_of_memory(error, batch_size) from error


@contextmanager
def told_unwritable(folder: Path, what: str) -> Iterator[None]:
    """A disk that refuses (full, say) while `what` is written to `folder` is a Fault that says so, whichever library
    wrote."""
    try:
        yield
    except OSError as error:
        raise _unwritable(folder, what, _reason(error)) from error
    except Exception as error:
        words = next((word for word in DISK_WORDS if word in str(error)), None)
        if words is None:
            raise
        raise _unwritable(folder, what, words) from error


def _is_memory(error: Any) -> bool:
    text = str(error)
    if isinstance(error, load().tf.errors.ResourceExhaustedError):
        return not any(word in text for word in DISK_WORDS)
    return any(word in text for word in MEMORY_WORDS)


def _out_of_memory(error: Exception, batch_size: int) -> Fault:
    first = words_of(error)
    smaller = max(batch_size // 2, 1)
    return Fault(
        f"out of memory with batches of {batch_size} images{f': {first}' if first else ''}",
        hint=f"close other programs, or train in smaller batches: --set batch_size={smaller}",
    )


def _unwritable(folder: Path, what: str, reason: str) -> Fault:
    return Fault(
        f"cannot write {what} to {folder}: {reason}",
        hint="make room or choose another place, then run the same command again",
    )


def _reason(error: OSError) -> str:
    found = next((word for word in DISK_WORDS if word in str(error)), None)
    return found or error.strerror or str(error).partition("\n")[0]


def words_of(error: Exception) -> str:
    """What a log says of an error, in one line: no numbers of errno, but the file."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error).partition("\n")[0]
