"""The Finding noun, and what findings do to a command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cxr.errors import CheckFailed, CxrError, NotAllowed, Unreachable


class Level(StrEnum):
    """How bad it is: an error keeps a job from working, a warning wants a look, what was not looked at is skipped."""

    ERROR = "error"
    WARNING = "warning"
    OK = "ok"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: the cause, the file or resource that it is about, and the next command (both may be "").

    `denied` says that the credentials or permissions of whoever asks are the cause, `unreachable` that nobody answered.
    """

    level: Level
    check: str
    cause: str
    resource: str = ""
    next: str = ""
    denied: bool = False
    unreachable: bool = False

    @property
    def words(self) -> str:
        """Cause and resource in one line."""
        return f"{self.cause} ({self.resource})" if self.resource else self.cause


def refused(check: str, error: CxrError, reason: tuple[str, str], *, essential: bool) -> Finding:
    """The finding that stands for a check that could not be made; `reason` is the cause in the service's words made
    plain, and what to do next."""
    cause, following = reason
    denied, unreachable = isinstance(error, NotAllowed), isinstance(error, Unreachable)
    words = f"cannot be checked: {cause}" if denied or unreachable else cause
    level = Level.ERROR if essential else Level.WARNING
    return Finding(level, check, words, next=following, denied=denied, unreachable=unreachable)


def counted(findings: Sequence[Finding], level: Level) -> int:
    """How many findings have that level."""
    return sum(finding.level is level for finding in findings)


def refuse_on_errors(findings: Sequence[Finding]) -> None:
    """Raises NotAllowed when credentials or permissions are the cause of an error, Unreachable when nobody answered,
    CheckFailed for any other error."""
    errors = [finding for finding in findings if finding.level is Level.ERROR]
    if not errors:
        return
    first = next((finding for finding in errors if finding.denied), errors[0])
    more = f" (and {len(errors) - 1} more: cxr cloud check)" if len(errors) > 1 else ""
    kind = NotAllowed if first.denied else Unreachable if first.unreachable else CheckFailed
    raise kind(f"{first.check}: {first.words}{more}", hint=first.next or None)
