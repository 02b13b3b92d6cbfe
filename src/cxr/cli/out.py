"""The one object through which every command speaks: data to stdout, words to stderr, progress only on a terminal."""

from __future__ import annotations

import json
import math
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cxr.errors import CxrError, UsageError
from cxr.progress import Progress, Say, silent

#: C0 (but tab and line feed), DEL, C1, what ends a line or turns the direction of a text, what is not seen, and halves
#: of surrogate pairs, which no terminal's encoding has.
_CONTROL = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ud800-\\udfff]"
    "|[\\U000e0000-\\U000e007f]"
)
#: Raised whenever a field of any command's --json output changes its meaning or goes.
JSON_SCHEMA_VERSION = 1
#: How often, in seconds, a long step says where it is when stderr is not a terminal.
PLAIN_PROGRESS_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Out:
    """How one command talks. With `json`, stdout carries one JSON document; with `quiet`, stderr only errors."""

    json: bool = False
    quiet: bool = False

    def say(self, text: str = "") -> None:
        """Words for the user (stderr)."""
        if not self.quiet:
            print(printable(text), file=sys.stderr, flush=True)

    def hint(self, text: str) -> None:
        """The next thing to type (stderr)."""
        self.say(f"next: {text}")

    def warn(self, text: str) -> None:
        """A warning (stderr), shown also with --quiet."""
        print(f"warning: {printable(text)}", file=sys.stderr, flush=True)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str | None = None) -> None:
        """A table on stdout; nothing with --json (the command's `result` carries the same data there)."""
        if self.json:
            return
        if title:
            print(printable(title))
        print(plain_table(columns, rows), flush=True)

    def text(self, text: str, *, styled: bool = False) -> None:
        """Data that is text (stdout); nothing with --json. `styled`: it has colours of ours, and what comes from
        elsewhere in it was made printable before."""
        if not self.json:
            print(text if styled else printable(text), flush=True)

    def result(self, kind: str, payload: Mapping[str, Any]) -> None:
        """The command's result as one JSON document on stdout, only with --json."""
        if self.json:
            document = {"schema": f"cxr.{kind}", "schema_version": JSON_SCHEMA_VERSION, **payload}
            print(json.dumps(_finite(document), indent=2, default=str, allow_nan=False), flush=True)

    def confirm(self, question: str, *, yes: bool) -> None:
        """Go on only with --yes or a typed yes. Raises UsageError when refused or when nobody can be asked."""
        if yes:
            return
        if not sys.stdin.isatty():
            raise UsageError("this needs a confirmation and there is no terminal to ask on", hint="add --yes to go on")
        print(f"{printable(question)} [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise UsageError("not confirmed; nothing was done")

    def confirm_by_name(self, question: str, name: str) -> None:
        """Go on only when `name` is typed, for what cannot be taken back. Raises UsageError when something else is, or
        when nobody can be asked."""
        if not sys.stdin.isatty():
            raise UsageError("this needs a confirmation and there is no terminal to ask on")
        print(f"{printable(question)} ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip() != name:
            raise UsageError("not confirmed; nothing was done")

    @contextmanager
    def progress(self, description: str) -> Iterator[Progress]:
        """A progress bar on a terminal, now and then a line elsewhere; yields `advance(done, total, note)`."""
        if self.quiet:
            yield silent
        elif sys.stderr.isatty():
            with _terminal_progress(description) as advance:
                yield advance
        else:
            yield _plain_progress(description, self.say)


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Left-aligned text columns, numbers to the right, two spaces between: readable, and `awk` reads it too."""
    columns = [printable(column) for column in columns]  # labels of files are columns, too
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(column), *(len(row[i]) for row in cells), 0) for i, column in enumerate(columns)]
    numeric = [all(_is_number(row[i]) for row in rows) and bool(rows) for i in range(len(columns))]
    lines = [
        "  ".join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, numeric, strict=True)
        )
        for line in [list(columns), ["-" * width for width in widths], *cells]
    ]
    return "\n".join(line.rstrip() for line in lines)


def print_error(error: CxrError) -> None:
    """One line that says what, one that says what next."""
    print(f"{error.headline}: {printable(error.message)}", file=sys.stderr)
    if error.hint:
        print(f"  next: {printable(error.hint)}", file=sys.stderr)


def printable(text: str) -> str:
    """The text with control characters spelled out: names of files and objects may hold what a terminal obeys."""
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape", "surrogatepass").decode("ascii"), text)


def _finite(value: Any) -> Any:
    """JSON knows no NaN and no infinity: null stands for what is not defined."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value


def _cell(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "-" if value is None else printable(str(value))


def _is_number(value: object) -> bool:
    return value is None or isinstance(value, int | float)


def _plain_progress(description: str, say: Say) -> Progress:
    last = time.monotonic()

    def advance(done: int, total: int, note: str) -> None:
        nonlocal last
        if time.monotonic() - last >= PLAIN_PROGRESS_SECONDS:
            last = time.monotonic()
            say(f"{description}: {done:,} of {total:,} {note}".rstrip())

    return advance


@contextmanager
def _terminal_progress(description: str) -> Iterator[Progress]:
    # rich is imported here because only a terminal needs it, and --help must stay quick.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(printable(description), total=None, note="")

        def advance(done: int, total: int, note: str) -> None:
            bar.update(task, completed=done, total=total, note=printable(note))

        yield advance
