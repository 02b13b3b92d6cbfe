"""What index.html tells the browser to load at once. Without it each file is found in the one before: script, its
parts, page.json, the model's description, its weights, one journey to the server after the other."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

#: Where the hints go, as the page's source has it (webapp/src/page/index.html).
MARK = "<!-- what is loaded first -->"


def with_hints(index: str, scripts: Iterable[str], files: Iterable[str]) -> str:
    """index.html with hints for modules (`scripts`) and for what they fetch (`files`), paths within the page. Raises
    ValueError when it has no place for them."""
    if index.count(MARK) != 1:
        raise ValueError(f"index.html has no {MARK}")
    lines = [f'<link rel="modulepreload" href="{escape(path)}">' for path in scripts]
    # `crossorigin`: fetch() asks in that mode, and takes what was asked for in the same one only.
    lines += [f'<link rel="preload" as="fetch" crossorigin href="{escape(path)}">' for path in files]
    return index.replace(MARK, "\n    ".join(lines))
