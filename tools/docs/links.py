"""Links of every Markdown file of the project, as they work in a checkout and on a page that shows it: relative files
and anchors must be there. Of links to other hosts only the form is looked at: no network is asked.

`python tools/docs/links.py` prints what is broken, one line each (exit code 5).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[2]
#: Beside all of docs/.
TOP_PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")

_FENCE = re.compile(r"^(?P<fence>```+|~~~+).*?^(?P=fence)\s*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(
    r"!?\[(?:[^\[\]]|!?\[[^\[\]]*\](?:\([^()]*\))?)*\]\(\s*<?(?P<target>[^()\s<>]+(?:\([^()\s]*\))?)>?[^()]*\)"
)
_HTML = re.compile(r"<(?:a|img|source)\b[^>]*?\b(?:href|src|srcset)=\"(?P<target>[^\"]+)\"")
_HEADING = re.compile(r"^#{1,6}\s+(?P<title>.+?)\s*#*\s*$", re.MULTILINE)
_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+(:\d+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Broken:
    """A link that leads nowhere."""

    page: Path
    line: int
    target: str
    why: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.target}: {self.why}"


def markdown_pages(root: Path = ROOT) -> list[Path]:
    """The pages of a project, in order."""
    return [root / name for name in TOP_PAGES if (root / name).is_file()] + sorted((root / "docs").rglob("*.md"))


def links(text: str) -> Iterator[tuple[int, str]]:
    """Line number and target of every link and picture outside of code."""
    prose = _CODE.sub(_blank, _FENCE.sub(_blank, text))
    for pattern in (_LINK, _HTML):
        for found in pattern.finditer(prose):
            yield prose.count("\n", 0, found.start()) + 1, found["target"]
            if found.group().startswith("[!["):  # a picture that is a link: [![words](picture)](target)
                for picture in _LINK.finditer(found.group()[1:]):
                    yield prose.count("\n", 0, found.start()) + 1, picture["target"]


def anchors(text: str) -> set[str]:
    """What `#…` may name on a page: its headings, as GitHub and the site's generator spell simple ones."""
    seen: dict[str, int] = {}
    found: set[str] = set()
    for heading in _HEADING.finditer(_FENCE.sub(_blank, text)):
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading["title"]).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")
        count = seen.get(slug, 0)
        seen[slug] = count + 1
        found.add(f"{slug}-{count}" if count else slug)
    return found


def broken(pages: list[Path], root: Path = ROOT) -> list[Broken]:
    """Every link of `pages` that leads nowhere."""
    found = []
    for page in pages:
        for line, target in links(page.read_text(encoding="utf-8")):
            if why := _wrong(page, target, root):
                found.append(Broken(page.relative_to(root), line, target, why))
    return found


def _wrong(page: Path, target: str, root: Path) -> str | None:
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return _wrong_address(parts.scheme, parts.netloc)
    path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not path.is_relative_to(root):
        return "is outside of the project"
    if not path.exists():
        return "there is no such file"
    if parts.fragment and path.suffix == ".md" and parts.fragment not in anchors(path.read_text(encoding="utf-8")):
        return "there is no such heading"
    return None


def _wrong_address(scheme: str, host: str) -> str | None:
    if scheme == "mailto":
        return None
    if scheme not in {"http", "https"}:
        return f"{scheme or 'no scheme'} is no address of a page"
    return None if _HOST.fullmatch(host) else "is no address"


def _blank(found: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", found.group())


def main() -> int:
    """Print what is broken in the whole project."""
    pages = markdown_pages()
    found = broken(pages)
    for one in found:
        print(one)
    print(f"{len(pages)} pages, {len(found)} broken links (of other hosts only the form is looked at)")
    return 5 if found else 0


if __name__ == "__main__":
    sys.exit(main())
