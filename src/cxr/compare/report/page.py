"""From a comparison to its HTML page."""

from __future__ import annotations

from importlib import import_module
from importlib.resources import files
from pathlib import Path

from cxr.compare.nouns import Comparison
from cxr.compare.report import words
from cxr.errors import missing_package
from cxr.files import write_text_atomically

EXTRA = "report"
TEMPLATE = "template.html.j2"
STYLE = "style.css"


def write_report(comparison: Comparison, path: Path) -> None:
    """Write the page: one file without any link to the outside."""
    write_text_atomically(path, render_report(comparison))


def render_report(comparison: Comparison) -> str:
    """The page as text. Raises MissingPackage when matplotlib or jinja2 is not installed."""
    check_report_packages()
    # Optional packages: imported when a page is made.
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    from cxr.compare.report import plots

    environment = Environment(
        loader=PackageLoader("cxr.compare.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    roc, intervals = plots.plots(comparison)
    return environment.get_template(TEMPLATE).render(
        comparison=comparison,
        words=words,
        colour=plots.colour_index,
        # Our own style sheet and Matplotlib's output (whose texts it escapes): the only texts that are not escaped
        # here.
        style=Markup(files("cxr.compare.report").joinpath(STYLE).read_text(encoding="utf-8")),
        svg=Markup,
        roc=roc,
        intervals=intervals,
    )


def check_report_packages() -> None:
    """Raise MissingPackage now rather than after the models have been scored (SciPy: for the paired tests)."""
    for package in ("matplotlib", "jinja2", "scipy"):
        try:
            import_module(package)
        except ImportError as error:
            raise missing_package(package, EXTRA) from error
