"""Matplotlib figures as inline SVG that follows the page's colours, light or dark."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # drawing is optional: the package is imported where a figure is made
    from matplotlib.figure import Figure

#: Matplotlib wants a colour; the page wants a CSS variable. Each of these stand-ins is drawn with and then exchanged.
INK, MUTED, GRID, PANEL = "#010101", "#020202", "#030303", "#040404"
MODEL_COLOURS = tuple(f"#0500{index:02x}" for index in range(1, 9))
VARIABLES: Mapping[str, str] = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    PANEL: "var(--panel)",
    **{colour: f"var(--model-{index})" for index, colour in enumerate(MODEL_COLOURS)},
}
#: Text stays text (small, searchable, in the page's own font); ids come from the content, so that the same numbers
#: give the same file.
SETTINGS: Mapping[str, object] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "cxr",
    "font.size": 10.0,
    "path.simplify": False,
}


def inline_svg(figure: Figure, *, name: str, description: str) -> str:
    """The figure as an <svg> element: no XML header, no metadata, no fixed size, ids prefixed by `name` (several
    figures share a page), colours as CSS variables, and `description` (escaped here) for screen readers."""
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context(dict(SETTINGS)):  # type: ignore[arg-type]
        figure.savefig(buffer, format="svg", facecolor="none", metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<svg[^>]*?viewBox=\"([^\"]+)\"[^>]*>", _opening(description), text, count=1, flags=re.DOTALL)
    text = re.sub(r"\bid=\"([^\"]+)\"", rf'id="{name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    text = re.sub(r"href=\"#([^\"]+)\"", rf'href="#{name}-\1"', text)
    for stand_in, variable in VARIABLES.items():
        text = text.replace(stand_in, variable)
    return text.strip()


def _opening(description: str) -> str:
    from html import escape

    label = escape(description, quote=True).replace("\\", r"\\")
    return (
        r'<svg viewBox="\1" role="img" xmlns="http://www.w3.org/2000/svg" '
        rf'xmlns:xlink="http://www.w3.org/1999/xlink" aria-label="{label}">'
    )
