"""One exception tree: every error that a user can meet says what, which, and what next.

The exit codes are the program's contract: 0 done, 1 fault, 2 usage, 3 not allowed (auth, permission, quota),
4 the job failed, 5 a check found problems, 6 timed out or interrupted.
"""

from __future__ import annotations

from typing import ClassVar


class CxrError(Exception):
    """Root of all errors that cxr raises on purpose.

    `message` says what went wrong and with which file, row or resource; `hint` is the next thing to type or do.
    """

    headline: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Fault(CxrError):
    """Something outside broke: a disk, a network, a server."""


class UsageError(CxrError):
    """The command line or the configuration asks for something that does not exist or does not fit."""

    headline = "usage"
    exit_code = 2


class InputError(CxrError):
    """A file or folder given by the user cannot be used as it is."""

    headline = "bad input"
    exit_code = 2


class ChangedOnDisk(InputError):
    """A file is not what it was when it was scanned."""

    headline = "changed on disk"


class NotFound(InputError):
    """A remote thing that was named does not exist (any more)."""

    headline = "not found"


class Unreachable(Fault):
    """A service did not answer, or said that it cannot now; asking again later may work.

    `retry_after` is how many seconds the service asked to be left alone, None when it did not say; `made_progress`
    says that part of a large file arrived before the failure.
    """

    headline = "unreachable"

    def __init__(self, message: str, *, hint: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after
        self.made_progress = False


class VersionConflict(Fault):
    """A stored object is not the version that a conditional write or delete named."""

    headline = "changed meanwhile"


class MissingPackage(UsageError):
    """An optional dependency is not installed; the hint is the line that installs it."""

    headline = "missing package"


class NotAllowed(CxrError):
    """Credentials, permissions or quota do not permit the request."""

    headline = "not allowed"
    exit_code = 3


class JobFailed(CxrError):
    """A job that runs elsewhere ended without a result."""

    headline = "job failed"
    exit_code = 4


class CheckFailed(CxrError):
    """A check ran and found problems."""

    headline = "check failed"
    exit_code = 5


class RulerMismatch(CheckFailed):
    """Numbers that were not measured on the same manifest were to stand in one table."""

    headline = "not comparable"


class Interrupted(CxrError):
    """The user (or a deadline) ended a wait; what was started goes on and can be attached to again."""

    headline = "interrupted"
    exit_code = 6


def missing_package(package: str, extra: str) -> MissingPackage:
    """The error for an absent optional dependency `package`, installed by `pip install "cxr[extra]"`."""
    return MissingPackage(
        f"this needs the package {package!r}, which is not installed", hint=f'pip install "cxr[{extra}]"'
    )


def first_line(error: BaseException) -> str:
    """What another's error says in its first line (traces and advice often follow), or of which kind it is."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
