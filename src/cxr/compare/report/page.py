"""From a comparison to its HTML page."""

from __future__ import annotations

import base64
import hashlib
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

from cxr.compare.nouns import Comparison
from cxr.compare.report import findings, words
from cxr.errors import missing_package
from cxr.files import write_text_atomically

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


def render_report(comparison: Comparison) -> str:
    """The page as text. Raises MissingPackage when matplotlib or jinja2 is not installed."""
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
        findings=findings,
        colour=colour_index,
        position={row.name: position for position, row in enumerate(comparison.models)},
        # Our own files, Matplotlib's output (whose texts it escapes) and the explorer's data (JSON without a <): the
        # only texts that are not escaped here.
        style=Markup(_text(STYLE) + _text(REPORT_STYLE)),
        script=Markup(script),
        script_hash=script_hash(script),
        svg=Markup,
        drawn=pictures_of(comparison),
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
