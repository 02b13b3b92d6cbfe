"""The command lines that documents show, and whether the program knows them: parsed, never run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import typer
from typer.core import TyperGroup

from cxr import errors
from cxr.cli.cloud.train_options import check_apply_alone
from cxr.cli.default_group import DefaultGroup
from cxr.cli.main import app

#: What the parser raises for a command line that it does not know (the public name is of one of its kinds).
UsageError = typer.BadParameter.__base__
_FENCE = re.compile(r"^ *(?P<fence>```+|~~~+) *(?P<language>[\w-]*)(?P<words>.*)$")
_ASSIGNMENT = re.compile(r"[A-Z_][A-Z0-9_]*=\S*\s+")
#: Typer's own options of the root.
_COMPLETION = {"--install-completion", "--show-completion"}
_ENDS = {"&&", "||", "|", ";", ">", ">>", "2>", "<", "&"}


@dataclass(frozen=True, slots=True)
class Block:
    """Code in a document: where it begins, its language, the words behind that, and its lines."""

    line: int
    language: str
    words: str
    lines: tuple[str, ...]


def fenced_blocks(text: str) -> Iterator[Block]:
    """Every fenced block of a Markdown text."""
    opened: tuple[int, str, str, str] | None = None
    lines: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        found = _FENCE.match(line)
        if opened and found and found["fence"] == opened[1] and not found["language"]:
            yield Block(opened[0], opened[2], opened[3], tuple(lines))
            opened = None
        elif opened:
            lines.append(line)
        elif found:
            opened, lines = (number, found["fence"], found["language"], found["words"].strip()), []


def typed_lines(text: str) -> Iterator[tuple[int, str]]:
    """Line number and command line of all that begins with `cxr ` in a fenced or indented block."""
    for block in fenced_blocks(text):
        yield from _commands(block.line + 1, block.lines)
    outside = _without_fences(text)
    indented = [line[4:] if line.startswith("    ") else "" for line in outside.splitlines()]
    yield from _commands(1, indented)


def _commands(first: int, lines: tuple[str, ...] | list[str]) -> Iterator[tuple[int, str]]:
    whole = ""
    for number, line in enumerate(lines, first):
        whole = f"{whole} {line.strip()}" if whole else line.removeprefix("$ ")
        if whole.endswith("\\"):
            whole = whole[:-1].rstrip()
            continue
        command = whole
        while found := _ASSIGNMENT.match(command):
            command = command[found.end() :]
        if command.startswith("cxr "):
            yield number, command
        whole = ""


def _without_fences(text: str) -> str:
    kept, inside = [], ""
    for line in text.splitlines():
        found = _FENCE.match(line)
        if found and (not inside or (found["fence"] == inside and not found["language"])):
            inside = "" if inside else found["fence"]
            kept.append("")
        else:
            kept.append("" if inside else line)
    return "\n".join(kept)


def why_not(command_line: str) -> str | None:
    """Why the program would not take it, None where it would. The line may hold several, joined by && and the like."""
    for words in _split(command_line):
        try:
            _parse(words)
        except (UsageError, errors.UsageError) as error:  # type: ignore[misc]  # the class that BadParameter is one of
            return f"{' '.join(words)}: {error}"
        except typer.Exit:
            continue  # --help and --version end here
    return None


def _split(command_line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(command_line, posix=True, punctuation_chars="&|;<>")
    lexer.whitespace_split = True
    words: list[str] = []
    skipping = False
    for word in [*lexer, ";"]:
        if word in _ENDS:
            if words[:1] == ["cxr"]:
                yield words[1:]
            words, skipping = [], word in {">", ">>", "<"}
        elif not skipping:
            words.append(word)


@cache
def _program() -> Any:
    return typer.main.get_group(app)


def _parse(words: list[str]) -> None:
    """As the program does, up to the point where the command would begin."""
    command, name, rest = _program(), "cxr", list(words)
    if rest[:1] and rest[0] in _COMPLETION:
        return  # to parse them would be to install them
    while isinstance(command, TyperGroup) and rest and not rest[0].startswith("-"):
        if isinstance(command, DefaultGroup) and rest[0] not in command.commands:
            break  # the group is a command itself
        found, below, after = command.resolve_command(typer.Context(command, info_name=name), rest)
        command, name, rest = below, f"{name} {found}", after
    context = command.make_context(name, rest)
    if name.startswith("cxr cloud train ") and context.params.get("apply"):
        check_apply_alone(context)
