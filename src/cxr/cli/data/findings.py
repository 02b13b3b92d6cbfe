"""How a check is told: findings by severity, in colours on a terminal, plain everywhere else."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from cxr.cli.out import Out, printable

if TYPE_CHECKING:
    from cxr.manifests.check import CheckReport, Finding
    from cxr.manifests.check.shortcuts import ShortcutProbe

#: ANSI codes of a severity's word.
_COLOURS: Final = {"error": "1;31", "warning": "1;33", "note": "1;36"}
_BOLD, _DIM = "1", "2"
_INDENT: Final = 9


def print_findings(out: Out, report: CheckReport) -> None:
    """Each finding with its rule, an example and what to do, worst first."""
    paint = _Paint()
    for finding in report.findings:
        out.text("")
        _print_finding(out, finding, paint)


def print_shortcuts(out: Out, probe: ShortcutProbe) -> None:
    """The shortcut probe as a table."""
    out.text("")
    rows = [
        (one.name, _area(one.test_auc), _area(one.train_auc), one.tells if one.is_outside else "-")
        for one in probe.shortcuts
    ]
    title = f"shortcuts: how well the file alone tells {probe.positive_class} (AUC)"
    out.table(("by", "test", "train, 5 folds", f"{probe.positive_class} has"), rows, title=title)
    for reason in probe.left_out:
        out.say(f"left out: {reason}")


def verdict(report: CheckReport) -> str:
    """`no errors, 2 warnings, 3 notes, 1 accepted`."""
    counts = [(len(report.of(severity)), severity) for severity in ("error", "warning", "note")]
    words = [f"{count or 'no'} {name}{'' if count == 1 else 's'}" for count, name in counts if count or name == "error"]
    return ", ".join(words + ([f"{len(report.accepted)} accepted"] if report.accepted else []))


def _print_finding(out: Out, finding: Finding, paint: _Paint) -> None:
    indent = " " * _INDENT
    severity = paint(f"{finding.severity}:".ljust(_INDENT), _COLOURS[finding.severity])
    rule = paint(f"[{finding.rule}{', accepted' if finding.accepted else ''}]", _DIM)
    out.text(f"{severity}{paint.wrapped(finding.message, _INDENT)} {rule}", styled=True)
    if finding.examples:
        out.text(f"{indent}e.g. {paint.wrapped(', '.join(finding.examples), _INDENT + 5)}", styled=True)
    out.text(f"{indent}{paint('fix:', _BOLD)} {paint.wrapped(finding.fix, _INDENT + 5)}", styled=True)


class _Paint:
    """Colours and line breaks, on a terminal only (and no colours with NO_COLOR, see no-color.org)."""

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty()
        self._has_colours = (
            self._is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"
        )

    def __call__(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._has_colours else text

    def wrapped(self, text: str, indent: int) -> str:
        """Broken at words so that the text stays in its column; in one line where a program reads it."""
        text = printable(text)
        if not self._is_terminal:
            return text
        import shutil
        import textwrap

        width = max(40, min(shutil.get_terminal_size().columns, 120) - indent)
        lines = textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False) or [""]
        return ("\n" + " " * indent).join(lines)


def _area(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
