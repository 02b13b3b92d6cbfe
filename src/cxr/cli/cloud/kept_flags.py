"""An error's hint keeps the flags of the command line that it comes from, so that the next command works where this one
did."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from cxr.errors import CxrError

#: The flags that say where a command works.
PLACE = ("--on", "--project", "--region", "--bucket", "--prefix", "--state-dir")
#: A command with the id of a job, if one follows.
_COMMAND = re.compile(r"cxr cloud ((?:train )?[a-z]+)(?: [a-z]+-\w+)?")
_ALONE = re.compile(r"cxr cloud [^;:,]*")


class PlacedGroup(TyperGroup):
    """A group of commands whose errors name other commands of it."""

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> Any:  # type: ignore[override]
        """Remember the words of the command line."""
        ctx.obj = list(args)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Add to an error's hint the flags that were given and that the commands in it take."""
        try:
            return super().invoke(ctx)
        except CxrError as error:
            if error.hint:
                error.hint = self._with_flags(error.hint, _given(ctx.obj or []))
            raise

    def _with_flags(self, hint: str, given: dict[str, str]) -> str:
        pieces, end = [], 0
        found = list(_COMMAND.finditer(hint))
        for number, match in enumerate(found):
            until = found[number + 1].start() if number + 1 < len(found) else len(hint)
            taken = self._options_of(match.group(1).split())
            flags = [
                f" {flag} {shlex.quote(value)}"
                for flag, value in given.items()
                if flag in taken and f" {flag} " not in hint[match.end() : until]
            ]
            # Behind the name and the job, where prose cannot be in the way; behind everything where there is no prose.
            at = len(hint) if _ALONE.fullmatch(hint) else match.end()
            pieces += [hint[end:at], *flags]
            end = at
        return "".join([*pieces, hint[end:]])

    def _options_of(self, path: Sequence[str]) -> set[str]:
        command: Any = self
        for name in path:
            command = getattr(command, "commands", {}).get(name)
        return {option for parameter in getattr(command, "params", []) for option in parameter.opts}


def _given(words: Sequence[str]) -> dict[str, str]:
    """The flags of place on a command line, with their values."""
    given: dict[str, str] = {}
    for place, word in enumerate(words):
        flag, equals, value = word.partition("=")
        if flag in PLACE and (equals or place + 1 < len(words)):
            given[flag] = value if equals else words[place + 1]
    return given
