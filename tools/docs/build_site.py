"""The documentation as a site: `make docs` (or `python tools/docs/build_site.py`) builds build/site, strictly.

Zensical makes the pages, from a copy of docs/ below build/. It is the living one of its family: MkDocs 1.x has had no
release since August 2024 and the maintenance of its theme ends in November 2026, while Zensical is by the theme's
authors and is released every week or two; it reads the same settings, and fails on dead links and anchors.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import links
import reference

ROOT = links.ROOT
DOCS = ROOT / "docs"
BUILD = ROOT / "build"
SITE = BUILD / "site"
#: Pages outside of docs/ that are pages of the site, too.
GUESTS = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}

#: Section -> its pages in order. A name that ends in / is a folder: those that are named first, then the rest by name.
#: A page that is not there is passed over; one that stands nowhere comes under the last section.
NAV: dict[str, tuple[str, ...]] = {
    "Home": ("index.md",),
    "Install": ("install.md",),
    "Tutorial": ("tutorial.md",),
    "How-to": (
        "how-to/index.md",
        "how-to/my-own-data.md",
        "how-to/three-classes.md",
        "how-to/dicom.md",
        "how-to/tuning.md",
        "how-to/gpu-image.md",
        "how-to/spot.md",
        "how-to/several-workers.md",
        "how-to/s3.md",
        "how-to/offline.md",
        "how-to/ci.md",
        "how-to/",
    ),
    "Guides": (
        "manifests.md",
        "baseline.md",
        "storage.md",
        "cloud.md",
        "aws.md",
        "emulator.md",
        "export.md",
        "importing.md",
        "compare.md",
        "web.md",
    ),
    "Silent failures": ("silent-failures.md",),
    "Reference": ("reference/index.md", "reference/"),
    "How it is made": (
        "design.md",
        "invariants/index.md",
        "invariants/",
        "threat-model.md",
        "faults.md",
        "scale.md",
        "benchmarks.md",
        "contributing.md",
        "changelog.md",
    ),
}
REST = "How it is made"
FOOTER = "Research use, not a medical device: nothing here diagnoses."

#: Where a browser loads something by itself; a link that a reader follows is none of these.
_LOADS = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*?\b(?:src|srcset|data)=["']?(?P<a>(?:https?:)?//[^"'\s>]+)"""
    r"""|<link\b(?=[^>]*\brel=["']?(?:stylesheet|preconnect|dns-prefetch|preload|icon|modulepreload|manifest))[^>]*?\bhref=["']?(?P<b>(?:https?:)?//[^"'\s>]+)"""
    r"""|(?:@import\s*(?:url\()?|url\()\s*["']?(?P<c>(?:https?:)?//[^"'\s)]+)""",
    re.IGNORECASE,
)
#: A link to a file of the checkout that is no page of the site.
_LINK = re.compile(r"\[(?P<words>[^\[\]]*)\]\((?P<target>[^()\s]+)\)")


#: The theme's script would fetch a few things from here if it ever missed them (nothing of that is used).
_CDN = "https://unpkg.com/"


def nav(there: set[str]) -> list[dict[str, Any]]:
    """The menu of the pages that are there (paths below docs/), each in one place."""
    left = set(there)
    sections: dict[str, list[Any]] = {}
    for title, wanted in NAV.items():
        for name in wanted:
            pages = sorted(page for page in left if page.startswith(name)) if name.endswith("/") else [name]
            for page in pages:
                if page in left:
                    left.remove(page)
                    sections.setdefault(title, []).append(_entry(page))
    sections.setdefault(REST, []).extend(sorted(left))
    return [{title: pages[0] if NAV[title] == (pages[0],) else pages} for title, pages in sections.items() if pages]


def _entry(page: str) -> str | dict[str, str]:
    """In the menu: the page's own heading, or of the reference what is typed."""
    folder, _, name = page.rpartition("/")
    return {f"cxr {name.removesuffix('.md')}": page} if folder == "reference" and name != "index.md" else page


def settings(there: set[str]) -> dict[str, Any]:
    """What Zensical is told. Nothing is loaded from another host: no fonts, no icons, no counters."""
    shades = [("light", "default", "dark", "weather-night"), ("dark", "slate", "light", "weather-sunny")]
    palette = [
        {
            "media": f"(prefers-color-scheme: {shade})",
            "scheme": scheme,
            "toggle": {"icon": f"material/{icon}", "name": f"Switch to {other}"},
        }
        for shade, scheme, other, icon in shades
    ]
    return {
        "site_name": "cxr",
        "site_description": "Chest X-rays to models that are judged on the same patients by the same ruler.",
        "docs_dir": "pages",
        "site_dir": SITE.name,
        "use_directory_urls": False,  # pages open from the disk, too
        "copyright": FOOTER,
        "theme": {
            "name": "material",
            "font": False,
            "palette": palette,
            "features": ["navigation.top", "navigation.footer", "content.code.copy", "toc.follow"],
        },
        "extra": {"generator": False},
        "plugins": ["search"],
        "markdown_extensions": [
            {"toc": {"permalink": True}},
            "tables",
            "attr_list",
            "md_in_html",
            "admonition",
            {"pymdownx.highlight": {"use_pygments": True}},
            "pymdownx.superfences",
        ],
        "nav": nav(there),
    }


def copy_pages() -> set[str]:
    """Fill build/pages; the names of the Markdown pages there."""
    pages = BUILD / "pages"
    shutil.rmtree(pages, ignore_errors=True)
    sources = {path: path.relative_to(DOCS).as_posix() for path in sorted(DOCS.rglob("*")) if path.is_file()}
    sources |= {ROOT / name: page for name, page in GUESTS.items() if (ROOT / name).is_file()}
    for source, name in sources.items():
        target = pages / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".md":
            target.write_text(_for_the_site(source, sources), encoding="utf-8")
        elif source.suffix in {".png", ".svg", ".jpeg", ".css", ".toml"}:
            shutil.copyfile(source, target)
    return {name for source, name in sources.items() if source.suffix == ".md"}


def _for_the_site(source: Path, sources: dict[Path, str]) -> str:
    """The page with its links as they are there; of a link to a file that is no part of the site the words stay."""
    here = Path(sources[source]).parent

    def turned(found: re.Match[str]) -> str:
        path, _, fragment = found["target"].partition("#")
        if "://" in path or not path:
            return found.group()
        file = (source.parent / path).resolve()
        if file in sources:
            anchor = f"#{fragment}" if fragment else ""
            return f"[{found['words']}]({os.path.relpath(sources[file], here)}{anchor})"
        return found["words"] if file.exists() else found.group()

    lines, fenced = [], False
    for line in source.read_text(encoding="utf-8").splitlines():
        fenced ^= line.lstrip().startswith("```")
        lines.append(line if fenced else _LINK.sub(turned, line))
    return "\n".join(lines) + "\n"


def foreign_assets(site: Path = SITE) -> Iterator[str]:
    """What a browser would load from another host when a page of the site is opened."""
    for path in sorted([*site.rglob("*.html"), *site.rglob("*.css"), *site.rglob("*.svg")]):
        for found in _LOADS.finditer(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(site)}: {found['a'] or found['b'] or found['c']}"
    for path in sorted(site.rglob("*.js")):
        if _CDN in path.read_text(encoding="utf-8"):
            yield f"{path.relative_to(site)}: {_CDN}"


def build() -> None:
    """Make the site anew. Raises CalledProcessError when Zensical finds a dead link or anchor."""
    there = copy_pages()
    shutil.rmtree(SITE, ignore_errors=True)
    config = BUILD / "mkdocs.yml"
    config.write_text(json.dumps(settings(there), indent=2), encoding="utf-8")  # JSON is YAML
    zensical = Path(sys.executable).with_name("zensical")
    environment = os.environ | {"NO_COLOR": "1"}
    subprocess.run(
        [zensical, "build", "--strict", "--clean", "-f", config.name], cwd=BUILD, env=environment, check=True
    )
    for script in SITE.rglob("*.js"):
        text = script.read_text(encoding="utf-8")
        if _CDN in text:
            script.write_text(text.replace(_CDN, "not-here/"), encoding="utf-8")


def main() -> int:
    """Links, reference, site, foreign assets: exit code 5 when something is wrong."""
    print(f"reference renewed: {', '.join(reference.write()) or 'nothing'}")
    if links.main():
        return 5
    try:
        build()
    except subprocess.CalledProcessError:
        print("the site was not built: see above", file=sys.stderr)
        return 5
    foreign = list(foreign_assets())
    for one in foreign:
        print(f"loaded from another host: {one}")
    pages = len(list(SITE.rglob("*.html")))
    print(f"{SITE.relative_to(ROOT)}: {pages} pages, {len(foreign)} things loaded from other hosts")
    return 5 if foreign else 0


if __name__ == "__main__":
    sys.exit(main())
