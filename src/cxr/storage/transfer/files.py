"""What is to be stored or fetched, and how a transfer went."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Generic, TypeVar

from cxr.errors import CxrError, Interrupted, NotAllowed, Unreachable
from cxr.storage.store import Digest

Item = TypeVar("Item")

GO_ON: Final = "run the same command again: it goes on with what is missing"
DEFAULT_TYPE: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on disk and the name of its object; `digest` is what it was when it was scanned."""

    name: str
    path: Path
    digest: Digest

    @property
    def content_type(self) -> str:
        """By the name's ending."""
        return mimetypes.guess_type(self.name)[0] or DEFAULT_TYPE


@dataclass(frozen=True, slots=True)
class Task(Generic[Item]):
    """One thing to do: what, its name for messages, and its bytes."""

    item: Item
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Tally:
    """Where a transfer is: files and bytes done of all, bytes that moved in all (repeats included), retries, files that
    failed."""

    files: int = 0
    all_files: int = 0
    size: int = 0
    all_size: int = 0
    moved: int = 0
    retries: int = 0
    failed: int = 0


#: Called often with where a transfer is.
OnTally = Callable[[Tally], None]


def silent(tally: Tally) -> None:
    """Says nothing."""
    del tally


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that was tried and not transferred."""

    name: str
    error: CxrError


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a transfer ended: `failures` were tried, `untried` (names) were not, because it was stopped; `interrupted`
    says that Ctrl-C did it."""

    tally: Tally
    failures: tuple[Failure, ...] = ()
    untried: tuple[str, ...] = ()
    interrupted: bool = False
    seconds: float = field(default=0.0, compare=False)
    #: What was to be done once all files were there, and failed; and how many orphans were deleted then.
    afterwards: tuple[Failure, ...] = ()
    deleted: int = 0

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.failures and not self.untried and not self.afterwards

    def require_complete(self, done: str, hint: str = GO_ON) -> None:
        """Raises an error of the gravest failure's kind that says how many files were not `done`, Interrupted after
        Ctrl-C."""
        if self.complete:
            return
        count, total = len(self.failures) + len(self.untried), self.tally.all_files
        if not count:
            self._raise_afterwards(done, hint)
        if self.interrupted:
            raise Interrupted(f"stopped by Ctrl-C: {total - count:,} of {total:,} files are {done}", hint=hint)
        worst = max(self.failures, key=lambda failure: _gravity(failure.error))
        # To go on helps against what was out of reach; what is not allowed, has changed or has no room needs more.
        if not isinstance(worst.error, Unreachable) and worst.error.hint:
            hint = worst.error.hint
        told = worst.error.message if worst.name in worst.error.message else f"{worst.name}: {worst.error.message}"
        raise type(worst.error)(
            told if count == 1 else f"{count:,} of {total:,} files were not {done}; {told}", hint=hint
        ) from worst.error

    def _raise_afterwards(self, done: str, hint: str) -> None:
        first = self.afterwards[0]
        more = f" and {len(self.afterwards) - 1:,} more" if len(self.afterwards) > 1 else ""
        told = f"all {self.tally.all_files:,} files are {done}, but not {first.name}{more}"
        if self.interrupted:
            raise Interrupted(f"stopped by Ctrl-C: {told}", hint=hint)
        if not isinstance(first.error, Unreachable) and first.error.hint:
            hint = first.error.hint
        raise type(first.error)(f"{told}: {first.error.message}", hint=hint) from first.error

    @property
    def missing(self) -> list[str]:
        """The names of all that is missing, sorted."""
        return sorted([*(failure.name for failure in self.failures), *self.untried])


def _gravity(error: CxrError) -> int:
    # What stopped the transfer says more than what befell one file.
    return 2 if isinstance(error, NotAllowed) else 1 if isinstance(error, Unreachable) else 0
