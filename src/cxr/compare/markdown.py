"""Text from files as plain text in Markdown."""

from __future__ import annotations


def plain_text(text: str) -> str:
    """One line without HTML: names come from files."""
    return " ".join(text.split()).replace("<", "&lt;").replace(">", "&gt;")


def table_cell(text: str) -> str:
    """Plain text that ends no cell."""
    return plain_text(text).replace("|", "\\|")


def table_line(cells: list[str]) -> str:
    """One line of a table."""
    return f"| {' | '.join(table_cell(cell) for cell in cells)} |"
