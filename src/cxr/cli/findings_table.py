"""Findings as tables: what was found, and below it what to type where something is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cxr.cli.out import Out


@dataclass(frozen=True, slots=True)
class Row:
    """One finding; `following` is the command that mends it, "" where nothing has to be done."""

    level: str
    check: str
    words: str
    following: str = ""


def show_findings(out: Out, title: str, rows: Sequence[Row], *, next_column: str = "next") -> None:
    """One table of all findings, a second with the commands (nothing with --json)."""
    out.table(("level", "check", "found"), [(row.level, row.check, row.words) for row in rows], title=title)
    following = [(row.check, row.following) for row in rows if row.following]
    if following:
        out.text("")
        out.table(("for", next_column), following)
