"""From a comparison to its HTML page."""

from __future__ import annotations

import base64
import hashlib
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxr.about import RESEARCH_USE
from cxr.compare.nouns import Comparison
from cxr.compare.report import cautions, findings, naming, words
from cxr.compare.report.class_table import HEADS, class_blocks
from cxr.errors import missing_package
from cxr.files import write_text_atomically

if TYPE_CHECKING:  # needs Matplotlib
    from cxr.compare.report.pictures import Pictures

EXTRA = "report"
PACKAGE = "cxr.compare.report"
TEMPLATE = "template.html.j2"
STYLE = "style.css"
#: What this page has beyond the style that evaluations share with it.
REPORT_STYLE = "report.css"
SCRIPT = "explorer.js"


def write_report(comparison: Comparison, path: Path) -> None:
    """Write the page: one file without any link to the outside."""
    write_text_atomically(path, render_report(comparison))


def render_report(comparison: Comparison, drawn: Pictures | None = None) -> str:
    """The page as text. `drawn`: its plots, where they are drawn already. Raises MissingPackage when matplotlib or
    jinja2 is not installed."""
    check_report_packages()
    # Optional packages: imported when a page is made.
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    from cxr.compare.report.drawing import colour_index
    from cxr.compare.report.pictures import pictures_of

    environment = Environment(
        loader=PackageLoader(PACKAGE, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = _text(SCRIPT)
    return environment.get_template(TEMPLATE).render(
        comparison=comparison,
        words=words,
        disclaimer=RESEARCH_USE,
        findings=findings,
        cautions=cautions,
        naming=naming,
        many=naming.has_many_classes(comparison),
        class_heads=HEADS,
        class_blocks=class_blocks(comparison),
        colour=colour_index,
        position={row.name: position for position, row in enumerate(comparison.models)},
        # Our own files, Matplotlib's output (whose texts it escapes) and the explorer's data (JSON without a <): the
        # only texts that are not escaped here.
        style=Markup(_text(STYLE) + _text(REPORT_STYLE)),
        script=Markup(script),
        script_hash=script_hash(script),
        svg=Markup,
        drawn=drawn or pictures_of(comparison),
    )


def script_hash(script: str) -> str:
    """What a Content-Security-Policy names an inline script by."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def check_report_packages() -> None:
    """Raise MissingPackage now rather than after the models have been scored (SciPy: for the paired tests)."""
    for package in ("matplotlib", "jinja2", "scipy"):
        try:
            import_module(package)
        except ImportError as error:
            raise missing_package(package, EXTRA) from error


def _text(name: str) -> str:
    resource: Any = files(PACKAGE).joinpath(name)
    return str(resource.read_text(encoding="utf-8"))
