"""What an evaluation leaves in a folder: numbers, predictions, pictures, and one HTML page with all."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from cxr.about import RESEARCH_USE
from cxr.bundle import BUNDLE_FILE
from cxr.compare.evaluation import words
from cxr.compare.evaluation.document import write_document
from cxr.compare.evaluation.nouns import Evaluation
from cxr.compare.predictions.table import write_predictions
from cxr.compare.report.page import STYLE, check_report_packages
from cxr.compare.report.words import STAND_IN_CAVEAT
from cxr.errors import UsageError
from cxr.files import write_text_atomically
from cxr.folders import check_writable

DOCUMENT_FILE = "evaluation.json"
PAGE_FILE = "evaluation.html"
TEMPLATE = "evaluation.html.j2"


def check_place(folder: Path) -> None:
    """Raises UsageError or NotAllowed, before anything is scored, when `folder` cannot take an evaluation, and
    MissingPackage when the pictures' packages are not installed."""
    if (folder / BUNDLE_FILE).exists() or any((above / BUNDLE_FILE).exists() for above in folder.parents):
        raise UsageError(
            f"{folder} is in a bundle, which lists all of its files", hint="choose another place: --out DIR"
        )
    check_writable(folder)
    check_report_packages()


def write_evaluation(evaluation: Evaluation, folder: Path) -> Path:
    """Write predictions.csv, the pictures, evaluation.json and, last, evaluation.html, whose path is returned."""
    # Matplotlib: imported when there is something to draw.
    from cxr.compare.evaluation.plots import write_pictures

    write_predictions(evaluation.predictions, folder)
    write_pictures(evaluation, folder)
    write_document(evaluation, folder / DOCUMENT_FILE)
    write_text_atomically(folder / PAGE_FILE, render_evaluation(evaluation))
    return folder / PAGE_FILE


def render_evaluation(evaluation: Evaluation) -> str:
    """The page as text: one file without any link to the outside."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    from cxr.compare.evaluation.plots import page_pictures

    environment = Environment(
        loader=PackageLoader("cxr.compare.evaluation", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE).render(
        evaluation=evaluation,
        words=words,
        disclaimer=RESEARCH_USE,
        stand_in=STAND_IN_CAVEAT.format(names=evaluation.bundle.info.name) if evaluation.bundle.info.stand_in else "",
        # Our own style sheet and Matplotlib's output (whose texts it escapes): the only texts not escaped here.
        style=Markup(files("cxr.compare.report").joinpath(STYLE).read_text(encoding="utf-8")),
        pictures={name: Markup(svg) for name, svg in page_pictures(evaluation).items()},
    )
