"""Every `cxr …` that README and docs/ show in a block is a command that there is, with options that it has."""

from __future__ import annotations

from pathlib import Path

import pytest
from typed_lines import typed_lines, why_not

from links import markdown_pages

ROOT = Path(__file__).resolve().parents[2]
PAGES = [page for page in markdown_pages() if page.name != "CHANGELOG.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_command_lines_of_a_page_are_known(page: Path) -> None:
    wrong = [
        f"{page.name}:{number}: {why}"
        for number, line in typed_lines(page.read_text(encoding="utf-8"))
        if (why := why_not(line))
    ]
    assert wrong == []


def test_lines_are_found_in_fences_and_indented() -> None:
    text = "# T\n\n```sh\ncxr demo   # all\nls\n$ cxr data scan x \\\n  --out y\n```\n\n    cxr web serve\n\nprose\n"
    assert list(typed_lines(text)) == [(4, "cxr demo   # all"), (7, "cxr data scan x --out y"), (10, "cxr web serve")]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("cxr data scna x", "scna"),
        ("cxr data scan x --uot y", "--uot"),
        ("cxr data scan", "Missing parameter"),
        ("cxr demo --images many", "many"),
        ("cxr web build runs/x page && cxr web serv page", "serv"),
        ("cxr compare a --margn 0.02 > table.txt", "--margn"),
    ],
)
def test_what_the_program_does_not_know_is_told(line: str, said: str) -> None:
    assert said in (why_not(line) or "")


@pytest.mark.parametrize(
    "line",
    [
        "cxr --version",
        "cxr cloud train automl --budget-node-hours 2 --plan   # shows it",
        "cxr compare runs/a runs/b | less",
        "cxr export runs/a --to tflite && cxr export verify runs/a",
        "cxr baseline recipes cnn5 --toml > my.toml",
    ],
)
def test_what_the_program_knows_passes(line: str) -> None:
    assert why_not(line) is None
