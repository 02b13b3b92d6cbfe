"""The cloud that the settings name, asked for real: only with --online."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cxr.doctor.findings import Finding, Level
from cxr.doctor.subject import Subject
from cxr.errors import CxrError

if TYPE_CHECKING:
    from cxr.cloud.preflight import Level as ServiceLevel


def service(subject: Subject) -> Iterator[Finding]:
    """What `cxr cloud check` finds there in a hurry; nothing without --online, or where nothing is billed."""
    if not subject.online or subject.settings is None:
        return
    if not subject.settings.on.billed:
        words = f"cxr cloud works on {subject.settings.on}, which is this machine: nobody was asked"
        yield Finding(Level.OK, "service", words)
        return
    from cxr.cloud.connection import resolve
    from cxr.cloud.preflight import Purpose, preflight
    from cxr.cloud.preflight import Subject as Asked

    try:
        found = preflight(resolve(subject.settings), Asked(Purpose.ANY), quick=True)
    except CxrError as error:
        yield Finding(Level.PROBLEM, "service", error.message, error.hint or "")
        return
    for one in found:
        yield Finding(_level(one.level), f"service: {one.check}", one.words, one.next)


def _level(level: ServiceLevel) -> Level:
    from cxr.cloud.preflight import Level as Theirs

    return {Theirs.ERROR: Level.PROBLEM, Theirs.WARNING: Level.NOTE}.get(level, Level.OK)
