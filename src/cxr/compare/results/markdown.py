"""Text from files as plain text in Markdown and in spreadsheets."""

from __future__ import annotations

import re

#: What begins markup inside a line, begins a heading behind a quotation mark, or ends a table's cell.
PUNCTUATION = re.compile(r"([\\`*_\[\]!#~|])")


def plain_text(text: str) -> str:
    """One line without markup or HTML: names come from files. It ends no table's cell either."""
    one_line = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return PUNCTUATION.sub(r"\\\1", one_line)


def code(text: str) -> str:
    """One line as code, between more backticks than it holds in a row: in code nothing can be escaped."""
    one_line = " ".join(text.split())
    fence = "`" * (1 + max(map(len, re.findall("`+", one_line)), default=0))
    space = " " if "`" in one_line else ""
    return f"{fence}{space}{one_line}{space}{fence}"


def table_line(cells: list[str]) -> str:
    """One line of a table."""
    return f"| {' | '.join(plain_text(cell) for cell in cells)} |"
