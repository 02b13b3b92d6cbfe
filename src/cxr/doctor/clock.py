"""The clock: signed requests are refused when it is minutes off, and journals are read by their times."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from cxr.doctor.findings import Finding, Level
from cxr.doctor.subject import Subject

#: This version was made after this day: a clock that is before it is wrong.
NOT_BEFORE: Final = datetime(2026, 1, 1, tzinfo=UTC)
#: A certificate or a licence is seldom valid for longer: a clock that is so far ahead is wrong, too.
NOT_AFTER: Final = NOT_BEFORE + timedelta(days=20 * 365)
#: What a file may be ahead of the clock, for file systems of other machines.
AHEAD: Final = timedelta(minutes=5)
FIX: Final = "timedatectl set-ntp true (or set the clock by hand)"


def clock(subject: Subject) -> Iterator[Finding]:
    """The clock against the age of this version, and against the journal's last change."""
    now = subject.now()
    shown = now.astimezone(UTC).isoformat(timespec="seconds")
    if not NOT_BEFORE <= now <= NOT_AFTER:
        yield Finding(Level.PROBLEM, "clock", f"it says {shown}, which cannot be", FIX)
        return
    journal = subject.folder / subject.state_dir / "jobs.jsonl"
    if journal.is_file():
        changed = datetime.fromtimestamp(journal.stat().st_mtime, tz=UTC)
        if changed > now + AHEAD:
            words = f"it says {shown}, and {journal} was changed at {changed.isoformat(timespec='seconds')}"
            yield Finding(Level.PROBLEM, "clock", words, FIX)
            return
    yield Finding(Level.OK, "clock", shown)
