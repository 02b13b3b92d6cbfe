"""docs/reference is what the program says of itself, on every machine alike."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import reference

SCRIPT = Path(reference.__file__)


def test_the_committed_pages_are_what_the_program_says() -> None:
    assert reference.stale() == [], f"docs/reference is stale; renew it by: {reference.RENEW}"


def test_neither_terminal_nor_user_has_a_part_in_it(tmp_path: Path) -> None:
    odd = {
        "COLUMNS": "31",
        "TERMINAL_WIDTH": "31",
        "FORCE_COLOR": "1",
        "HOME": str(tmp_path),
        "CXR_ON": "gcp",
        "CXR_PROJECT": "p",
    }
    checked = subprocess.run(
        [sys.executable, str(SCRIPT), "--check"],
        env=os.environ | odd,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout) == (0, "the reference is up to date\n")


def test_a_stale_page_is_named_with_the_command_that_renews_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "FOLDER", tmp_path)
    assert len(reference.write()) == len(reference.pages())
    assert reference.stale() == []
    (tmp_path / "data.md").write_text("another\n")
    (tmp_path / "gone.md").write_text("of a group that there was\n")
    assert reference.stale() == ["data.md", "gone.md"]
    assert reference.write() == ["data.md", "gone.md"]
    assert not (tmp_path / "gone.md").exists()


def _program(text: str, option_help: str) -> typer.Typer:
    program, group = typer.Typer(), typer.Typer(help="A group.")

    def show(size: int = typer.Option(3, "--size", min=1, help=option_help)) -> None:
        del size

    show.__doc__ = text
    group.command("show")(show)
    group.command("hide")(show)
    program.add_typer(group, name="things")
    return program


def test_a_page_has_usage_help_example_and_options() -> None:
    page = reference.pages(_program("Show a | thing.\n\nExample: cxr things show --size 4", "How *large*."))[
        "things.md"
    ]
    assert "Usage: cxr things show [OPTIONS]" in page
    assert "Show a \\| thing." in page
    assert "```sh\ncxr things show --size 4\n```" in page
    assert "| `--size <int range>` | How \\*large\\*. (`x>=1`) | `3` |  |" in page


@pytest.mark.parametrize(
    ("text", "option_help", "said"),
    [
        ("", "How large.", "cxr things show has no help text"),
        ("Show a thing.", "How large.", "cxr things show has no example"),
        ("Show a thing.\n\nExample: cxr things show", "", "cxr things show: size has no help text"),
    ],
    ids=["no help", "no example", "an option without help"],
)
def test_what_says_nothing_of_itself_is_refused(text: str, option_help: str, said: str) -> None:
    with pytest.raises(reference.Undocumented, match=said):
        reference.pages(_program(text, option_help))


def test_settings_are_named_with_their_variables_where_they_are_read() -> None:
    pages = reference.pages()
    assert "| `CXR_BUCKET` |" in pages["cloud.md"]
    assert "| `CXR_PRICES` |" in pages["cloud.md"]
    assert "CXR_ON" not in pages["demo.md"]
