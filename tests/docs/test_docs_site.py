"""The site has every page in its menu, and a browser loads nothing for it from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import build_site


def _leaves(entry: Any) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    return [leaf for value in (entry.values() if isinstance(entry, dict) else entry) for leaf in _leaves(value)]


def test_every_page_stands_in_the_menu_once() -> None:
    there = {path.relative_to(build_site.DOCS).as_posix() for path in build_site.DOCS.rglob("*.md")}
    assert sorted(_leaves(build_site.nav(there))) == sorted(there)


def test_a_new_page_finds_its_section_by_its_folder() -> None:
    menu = build_site.nav({"index.md", "how-to/zebra.md", "how-to/s3.md", "invariants/x.md", "new.md"})
    assert menu == [
        {"Home": "index.md"},
        {"How-to": ["how-to/s3.md", "how-to/zebra.md"]},
        {"How it is made": ["invariants/x.md", "new.md"]},
    ]


def test_links_to_files_that_are_no_pages_become_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docs = tmp_path / "docs"
    (docs / "part").mkdir(parents=True)
    (docs / "part" / "a.md").write_text(
        "[code](../../code.py) [changes](../../CHANGELOG.md#new) [b](../b.md)\n```\n[x](../../code.py)\n```\n"
    )
    (docs / "b.md").write_text("# B\n")
    (tmp_path / "code.py").write_text("")
    (tmp_path / "CHANGELOG.md").write_text("# Changes\n\n## New\n\n[b](docs/b.md) [gone](nothing.md)\n")
    for name, value in {"ROOT": tmp_path, "DOCS": docs, "BUILD": tmp_path / "build"}.items():
        monkeypatch.setattr(build_site, name, value)
    assert build_site.copy_pages() == {"b.md", "part/a.md", "changelog.md"}
    page = (tmp_path / "build" / "pages" / "part" / "a.md").read_text()
    assert page == "code [changes](../changelog.md#new) [b](../b.md)\n```\n[x](../../code.py)\n```\n"
    assert "[b](b.md) [gone](nothing.md)" in (tmp_path / "build" / "pages" / "changelog.md").read_text()


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("a.html", '<script src="https://cdn.example/x.js"></script>', True),
        ("a.html", '<link rel="stylesheet" href="//fonts.example/css">', True),
        ("a.html", "<img alt=x src=http://counter.example/1.gif>", True),
        ("a.css", "@font-face{src:url(https://fonts.example/a.woff2)}", True),
        ("a.js", 'load("https://unpkg.com/x")', True),
        ("a.html", '<a href="https://example.org">words</a> <script src="assets/x.js"></script>', False),
        ("a.css", "a{background:url(data:image/png;base64,//x)}", False),
    ],
)
def test_what_a_browser_would_load_from_another_host_is_found(
    tmp_path: Path, name: str, text: str, found: bool
) -> None:
    (tmp_path / name).write_text(text)
    assert bool(list(build_site.foreign_assets(tmp_path))) is found
