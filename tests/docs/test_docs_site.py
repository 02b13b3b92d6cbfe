"""The site has every page in its menu, and a browser loads nothing for it from elsewhere."""

from __future__ import annotations

import subprocess
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


@pytest.fixture
def small_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Home\n\n[there](web.md#here)\n")
    (tmp_path / "docs" / "web.md").write_text("# Page\n\n## Here\n\nwords\n")
    build = tmp_path / "build"
    for name, value in {"ROOT": tmp_path, "DOCS": tmp_path / "docs", "BUILD": build, "SITE": build / "site"}.items():
        monkeypatch.setattr(build_site, name, value)
    return tmp_path


def test_a_site_is_built_with_its_warning_and_loads_nothing_from_elsewhere(small_project: Path) -> None:
    build_site.build()
    page = (build_site.SITE / "web.html").read_text(encoding="utf-8")
    assert build_site.FOOTER in page
    assert page.count('name="__palette"') == 2, "light and dark"
    assert list(build_site.foreign_assets(build_site.SITE)) == []


@pytest.mark.parametrize("target", ["web.md#there", "wbe.md"], ids=["anchor", "page"])
def test_a_dead_link_fails_the_build(small_project: Path, target: str) -> None:
    (small_project / "docs" / "index.md").write_text(f"# Home\n\n[there]({target})\n")
    with pytest.raises(subprocess.CalledProcessError):
        build_site.build()
