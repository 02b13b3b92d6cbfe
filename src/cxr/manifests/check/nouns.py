"""What a check is made of: rules that fire, findings with what to do about them, the report."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from cxr.manifests.check.shortcuts import ShortcutProbe
from cxr.manifests.manifest import Manifest, Severity
from cxr.manifests.patients.keys import Overlap

__all__ = ["SEVERITIES", "CheckReport", "Finding", "Hits", "Rule", "Severity", "counted"]

#: Worst first.
SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "note")
#: Paths shown for one finding.
EXAMPLES: Final = 3

#: What a rule's test yields: a message, and paths for example.
Hits = Iterator[tuple[str, Iterable[str]]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One check: its test yields a message and example paths for each thing found.

    An `error` makes results worthless, a `warning` wants a look or a repair (a service's refusal is one: the data is
    as good elsewhere), a `note` is good to know, or cannot be mended, and fails nothing.
    """

    id: str
    severity: Severity
    fix: str
    test: Callable[[Manifest], Hits]

    def findings(self, manifest: Manifest) -> Iterator[Finding]:
        """What this rule finds."""
        for message, paths in self.test(manifest):
            yield Finding(self.id, self.severity, message, self.fix, first_paths(paths))


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that fired: what was found, what to do, and up to EXAMPLES paths. The user has seen an `accepted` one
    and takes it as it is: it fails nothing (an error is never accepted)."""

    rule: str
    severity: Severity
    message: str
    fix: str
    examples: tuple[str, ...] = ()
    accepted: bool = False


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Images by split and label ("unused" for none), patients by split, the patients of test that are also in train by
    each reading of the names (none where no name tells a patient), what the rules found, worst first (accepted ones
    after the others of their severity), and how well the file alone tells the label (None where there is nothing to
    compare)."""

    counts: dict[str, dict[str, int]]
    patients: dict[str, int]
    overlaps: tuple[Overlap, ...]
    findings: tuple[Finding, ...]
    shortcuts: ShortcutProbe | None = None

    def of(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings of one severity that are not accepted."""
        return tuple(finding for finding in self.findings if finding.severity == severity and not finding.accepted)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that make a result worthless."""
        return self.of("error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that want a look or a repair and are not accepted."""
        return self.of("warning")

    @property
    def accepted(self) -> tuple[Finding, ...]:
        """The findings that the user takes as they are."""
        return tuple(finding for finding in self.findings if finding.accepted)

    def failing(self, *, strict: bool) -> tuple[Finding, ...]:
        """What the check fails for: errors, and with `strict` warnings that are not accepted, too."""
        return self.errors + (self.warnings if strict else ())

    @property
    def ok(self) -> bool:
        """Whether no error-level rule fired."""
        return not self.errors


def counted(number: int, noun: str) -> str:
    """`1 image`, `2,000 images`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def first_paths(paths: Iterable[str]) -> tuple[str, ...]:
    """Up to EXAMPLES paths, the first in order."""
    return tuple(heapq.nsmallest(EXAMPLES, paths))
