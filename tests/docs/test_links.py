"""Links of README, CONTRIBUTING, CHANGELOG and docs/ lead somewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

import links


def test_no_link_of_the_project_is_broken() -> None:
    assert [str(one) for one in links.broken(links.markdown_pages())] == []


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "other.md").write_text("# One\n\n## Two `words`: here\n\n## One\n\n```\n# no heading\n```\n")
    (tmp_path / "docs" / "picture.png").write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[a](docs/nothing.md)", "there is no such file"),
        ("[a](docs/other.md#three)", "there is no such heading"),
        ("[a](docs/other.md#no-heading)", "there is no such heading"),
        ("[a](#here)", "there is no such heading"),
        ("![a](docs/nothing.png)", "there is no such file"),
        ('<img src="docs/nothing.png" width="9">', "there is no such file"),
        ("[![a](docs/picture.png)](docs/nothing.html)", "there is no such file"),
        ("[![a](docs/nothing.png)](docs/other.md)", "there is no such file"),
        ("[a](../outside.md)", "is outside of the project"),
        ("[a](https://nowhere)", "is no address"),
        ("[a](htp://example.org)", "htp is no address of a page"),
    ],
)
def test_a_broken_link_is_told_with_its_line(project: Path, text: str, why: str) -> None:
    (project / "README.md").write_text(f"# Title\n\nwords {text} words\n")
    found = links.broken(links.markdown_pages(project), project)
    assert [(one.page.name, one.line, one.why) for one in found] == [("README.md", 3, why)]


@pytest.mark.parametrize(
    "text",
    [
        "[a](docs/other.md#two-words-here)",
        "[a](docs/other.md#one-1)",
        "[a](#title)",
        "[![a](docs/picture.png)](docs/other.md)",
        "[a](https://example.org/x_(y)?z#w)",
        "`[a](nothing.md)`",
        "\n```\n[a](nothing.md)\n```\n",
    ],
)
def test_what_leads_somewhere_is_not_told(project: Path, text: str) -> None:
    (project / "README.md").write_text(f"# Title\n\nwords {text} words\n")
    assert links.broken(links.markdown_pages(project), project) == []
