"""docs/design.md draws the folders as they are, and the index of how-tos has them all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from cxr.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "cxr"
DESIGN = ROOT / "docs" / "design.md"
#: Built by `make web`, and not there before.
BUILT = "webapp/static"
LINE = re.compile(r"^( *)([\w.]+/?)(?: {2,}(\S.*))?$")


def _drawn(text: str) -> dict[str, str]:
    """Path below src/cxr -> what the map says of it: folders end with a slash. Raises ValueError for a line that is
    no entry."""
    _, _, rest = text.partition("## The map\n")
    lines = rest.partition("```text\n")[2].partition("\n```")[0].splitlines()
    above: list[str] = []
    found: dict[str, str] = {}
    for line in lines[1:]:
        match = LINE.match(line)
        if match is None or len(match[1]) % 2 or len(match[1]) // 2 > len(above) + 1:
            raise ValueError(f"no entry of the map: {line!r}")
        above = [*above[: len(match[1]) // 2 - 1], match[2]]
        found["".join(above)] = match[3] or ""
    return found


def _there() -> set[str]:
    """Folders (at any depth) and top-level modules."""
    folders = {
        f"{path.relative_to(PACKAGE).as_posix()}/"
        for path in PACKAGE.rglob("*")
        if path.is_dir() and "__pycache__" not in path.parts
    }
    modules = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py"}
    return {name for name in folders if not name.startswith(BUILT)} | modules


def test_the_map_names_every_folder_and_top_level_module_and_no_other() -> None:
    drawn = _drawn(DESIGN.read_text(encoding="utf-8"))
    there = _there()
    assert sorted(there - drawn.keys()) == []
    assert sorted(drawn.keys() - there) == []
    assert [name for name, words in drawn.items() if not words and name != "golden/images/"] == []


def test_the_map_names_the_commands_of_each_folder_of_the_command_line() -> None:
    drawn = _drawn(DESIGN.read_text(encoding="utf-8"))
    groups: Any = get_command(app)
    for name, words in drawn.items():
        if name.startswith("cli/") and name != "cli/":
            group = groups.commands[name.split("/")[1]]
            there = {word for word, command in group.commands.items() if not command.hidden}
            assert {word for word in words.split(", ") if not word.startswith("the ")} == there, name


def test_a_map_that_is_none_is_noticed() -> None:
    begin = "## The map\n```text\nsrc/cxr/\n"
    assert _drawn(begin + "  cli/   words\n    data/  more\n  x.py  z\n```") == {
        "cli/": "words",
        "cli/data/": "more",
        "x.py": "z",
    }
    with pytest.raises(ValueError, match="no entry"):
        _drawn(begin + "  cli/   words\n      data/  more\n```")


def test_the_index_of_how_tos_names_every_page_once() -> None:
    folder = ROOT / "docs" / "how-to"
    named = re.findall(r"\]\(([\w-]+\.md)\)", (folder / "index.md").read_text(encoding="utf-8"))
    assert sorted(named) == sorted(path.name for path in folder.glob("*.md") if path.name != "index.md")


def test_every_how_to_has_a_goal_commands_and_what_goes_wrong() -> None:
    for page in sorted((ROOT / "docs" / "how-to").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        if page.name != "index.md":
            assert "**Goal:**" in text, page.name
            assert "## What goes wrong" in text, page.name
            assert re.search(r"^cxr ", text, re.MULTILINE), page.name
