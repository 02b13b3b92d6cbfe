"""The command line reference, written from the program: `python tools/docs/reference.py` (`--check` only compares).

One page a group of commands, in docs/reference/. What stands there is what `--help` says: nothing is written by hand,
and the width of a terminal, colours and the folder of a user have no part in it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from cxr.cli.default_group import DefaultGroup
from cxr.cli.main import app
from cxr.errors import CxrError
from cxr.settings import ENVIRONMENT_PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "reference"
RENEW = "make reference"

#: What the codes of cxr.errors say to a script; every code of the tree of errors has a line here.
EXIT_CODES = {
    0: "done",
    1: "fault: something failed that the command line is not to blame for",
    2: "usage or bad input: an option, a file or a folder cannot be used as it is",
    3: "not allowed: credentials, permissions or quota, or more than `--max-cost`",
    4: "the job failed that ran elsewhere",
    5: "a check found problems",
    6: "interrupted or timed out: what was started goes on",
}
#: Groups whose commands read the settings of cxr.settings; options elsewhere that are called alike are their own.
PLACED = ("cloud", "data")
#: Read by Typer's help at the end of an option's record: two spaces, then what it knows of the value.
_KNOWN = re.compile(r"  \[(?P<known>[^\[\]]*)\]$")
#: Written by hand in a help text where the default depends on something.
_DEPENDS = re.compile(r" \[default: (?P<default>[^\]]*)\](?P<rest>.*)$")


class Undocumented(Exception):  # noqa: N818  (errors are named by their cause)
    """A command or an option says nothing about itself."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command: the words that name it, and Typer's own object."""

    path: tuple[str, ...]
    command: Any

    @property
    def name(self) -> str:
        """As it is typed."""
        return " ".join(("cxr", *self.path))


def walk(group: Any, path: tuple[str, ...] = ()) -> Iterator[Command]:
    """Every command below `group` in the order of `--help`; one that is a group and a command has the group's name."""
    for name, command in group.commands.items():
        if isinstance(group, DefaultGroup) and name == group.DEFAULT:
            yield Command(path, command)
        elif isinstance(command, TyperGroup):
            yield from walk(command, (*path, name))
        else:
            yield Command((*path, name), command)


@cache
def pages(program: typer.Typer = app) -> dict[str, str]:
    """File name -> Markdown. Raises Undocumented when a command has no help or example, or a parameter no help."""
    root = typer.main.get_group(program)
    groups: dict[str, list[Command]] = {}
    for command in walk(root):
        groups.setdefault(command.path[0], []).append(command)
    written = {f"{name}.md": _page(name, root.commands[name], commands) for name, commands in groups.items()}
    return {"index.md": _index(groups), **written}


def _page(name: str, entry: Any, commands: list[Command]) -> str:
    group = isinstance(entry, TyperGroup)
    parts = [f"# Commands of cxr {name}", _escape((entry.help or "").strip())] if group else [f"# The command {name}"]
    parts += [section for command in commands for section in _sections(command)]
    parts += ["## Exit codes", _exit_codes()]
    return "\n\n".join([*parts, _made_by()]) + "\n"


def _sections(command: Command) -> list[str]:
    paragraphs, examples = _help(command)
    context = command.command.make_context(command.name, [], resilient_parsing=True)
    usage = " ".join([command.name, *command.command.collect_usage_pieces(context)])
    parameters = [parameter for parameter in command.command.params if not getattr(parameter, "hidden", False)]
    arguments = [parameter for parameter in parameters if parameter.param_type_name == "argument"]
    others = [parameter for parameter in parameters if parameter.param_type_name == "option"]
    parts = [f"## {command.name}", f"```text\nUsage: {usage}\n```", *(_escape(paragraph) for paragraph in paragraphs)]
    parts += ["```sh\n" + "\n".join(examples) + "\n```"]
    if arguments:
        parts.append(_table(("argument", "what it is", ""), [_argument(command, one, context) for one in arguments]))
    head = ("option", "what it does", "default", "environment")
    parts.append(_table(head, [_option(command, one, context) for one in others]))
    return parts


def _help(command: Command) -> tuple[list[str], list[str]]:
    """Paragraphs and examples of a command's help."""
    blocks = [" ".join(block.split()) for block in re.split(r"\n\s*\n", (command.command.help or "").strip())]
    examples = [block.removeprefix("Example: ") for block in blocks if block.startswith("Example: ")]
    paragraphs = [block for block in blocks if block and not block.startswith("Example: ")]
    if not paragraphs or not examples:
        raise Undocumented(f"{command.name} has no {'example' if paragraphs else 'help text'}")
    return paragraphs, examples


def _argument(command: Command, parameter: Any, context: Any) -> tuple[str, ...]:
    form, said, default, known = _record(command, parameter, context)
    return f"`{form}`", said, ", ".join([*known, *([f"default: {default}"] if default else [])])


def _option(command: Command, parameter: Any, context: Any) -> tuple[str, ...]:
    form, said, default, known = _record(command, parameter, context)
    limits = f" ({', '.join(f'`{limit}`' for limit in known)})" if known else ""
    return f"`{form}`", said + limits, default, _variable(command, parameter)


def _record(command: Command, parameter: Any, context: Any) -> tuple[str, str, str, list[str]]:
    """How it is typed, what it does, its default, and what else the parser knows of its value."""
    if not parameter.help:
        raise Undocumented(f"{command.name}: {parameter.name} has no help text")
    form, text = parameter.get_help_record(context)
    known: list[str] = []
    if found := _KNOWN.search(text):
        known, text = found["known"].split("; "), text[: found.start()]
    default = next((item.removeprefix("default: ") for item in known if item.startswith("default: ")), "")
    known = [item for item in known if not item.startswith(("default: ", "env var: "))]
    if depends := _DEPENDS.search(text):
        text, default = text[: depends.start()] + depends["rest"], _escape(depends["default"])
    elif default:
        default = f"`{default}`"
    return form.replace("|", "\\|"), _escape(text), default, known


def _variable(command: Command, parameter: Any) -> str:
    """The variable that stands for an option: its own, or that of the setting that several commands share."""
    if parameter.envvar:
        return f"`{parameter.envvar}`"
    if command.path[0] in PLACED and parameter.name in {field.name for field in fields(Settings)}:
        return f"`{ENVIRONMENT_PREFIX}{parameter.name.upper()}`"
    return ""


def _index(groups: dict[str, list[Command]]) -> str:
    variables = [f"`{ENVIRONMENT_PREFIX}{field.name.upper()}`" for field in fields(Settings)]
    parts = [
        "# The commands",
        "Every command takes `--help`, `--json` (one document on stdout, with a schema version) and `--quiet`. Data"
        " goes to stdout, words to stderr.",
        *(
            f"## [cxr {name}]({name}.md)\n\n"
            + _table(("command", "what it does"), [_line(name, command) for command in commands])
            for name, commands in groups.items()
        ),
        "## Settings",
        "Options that have an entry under *environment* are settings: read from `cxr.toml` in the working folder, then"
        " from the environment, then from the command line; the later one wins. The variables are "
        + ", ".join(variables)
        + ". `CXR_DEBUG=1` shows tracebacks.",
        "## Exit codes",
        _exit_codes(),
    ]
    return "\n\n".join([*parts, _made_by()]) + "\n"


def _line(page: str, command: Command) -> tuple[str, str]:
    anchor = "-".join(command.name.split())
    return f"[`{command.name}`]({page}.md#{anchor})", _escape(_help(command)[0][0])


def _exit_codes() -> str:
    codes = {0} | {kind.exit_code for kind in _tree(CxrError)}
    if codes != set(EXIT_CODES):
        raise Undocumented(f"exit codes of cxr.errors are {sorted(codes)}, described are {sorted(EXIT_CODES)}")
    return _table(("code", "means"), [(str(code), meaning) for code, meaning in EXIT_CODES.items()])


def _tree(kind: type[CxrError]) -> Iterator[type[CxrError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _tree(below)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _escape(text: str) -> str:
    """Help is plain text: nothing in it is Markdown or HTML, but what stands between backticks."""
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(
        piece if piece.startswith("`") else re.sub(r"([*_|\[\]])", r"\\\1", piece).replace("<", "&lt;")
        for piece in pieces
    )


def _made_by() -> str:
    return f"*Written from the program by `{RENEW}`.*"


def stale() -> list[str]:
    """Names of the pages that differ from what the program says, are missing, or stand for nothing."""
    wanted = pages()
    there = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")}
    return sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))


def write() -> list[str]:
    """Renew what is stale; the names of the pages that changed."""
    changed, wanted = stale(), pages()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in changed:
        if name in wanted:
            (FOLDER / name).write_text(wanted[name], encoding="utf-8")
        else:
            (FOLDER / name).unlink()
    return changed


def main() -> int:
    """Write the pages, or with --check say which are stale (exit code 5)."""
    if "--check" in sys.argv[1:]:
        found = stale()
        print(f"stale: {', '.join(found)}; renew by: {RENEW}" if found else "the reference is up to date")
        return 5 if found else 0
    changed = write()
    print(f"docs/reference: {', '.join(changed) or 'nothing'} renewed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
