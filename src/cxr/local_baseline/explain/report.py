"""The explanations on disk: PNG files, explain.json, and one page with everything in it."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterable
from importlib import import_module
from importlib.resources import files
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from cxr.about import RESEARCH_USE
from cxr.errors import NotAllowed, UsageError, missing_package
from cxr.files import atomic_path, write_text_atomically
from cxr.local_baseline.explain.explaining import Explainer
from cxr.local_baseline.explain.nouns import Explanation, Report, Written
from cxr.local_baseline.explain.overlay import original_pixels, overlay

PACKAGE = "cxr.local_baseline.explain"
TEMPLATE, STYLE = "page.html.j2", "style.css"
PAGE_FILE, DATA_FILE = "explain.html", "explain.json"
SCHEMA_VERSION = 1
#: Longest side of a picture inside the page, in pixels; the files have the original's size.
SHOWN_SIDE = 640
JPEG_QUALITY = 85


def prepare(folder: Path) -> None:
    """Raises MissingPackage, UsageError or NotAllowed before the long work rather than after it."""
    try:
        import_module("jinja2")
    except ImportError as error:
        raise missing_package("jinja2", "report") from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except PermissionError as error:
        raise NotAllowed(f"no permission to make the folder {folder}", hint="choose another: --out DIR") from error
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"{folder} is not a folder", hint="choose another place: --out DIR") from error


def write_report(explainer: Explainer, explanations: Iterable[Explanation], folder: Path) -> Report:
    """Write every explanation as it comes, then data and page."""
    written = tuple(_write(explainer, number, one, folder) for number, one in enumerate(explanations, start=1))
    method = explainer.applicable
    report = Report(folder, folder / PAGE_FILE, method.method.value, method.layer, explainer.layers, written)
    write_text_atomically(folder / DATA_FILE, json.dumps(as_json(explainer, report), indent=2) + "\n")
    write_text_atomically(report.page, render(explainer, report))
    return report


def as_json(explainer: Explainer, report: Report) -> dict[str, object]:
    """The report as plain values."""
    info = explainer.bundle.info
    return {
        "schema_version": SCHEMA_VERSION,
        "bundle": info.name,
        "bundle_hash": explainer.bundle.hash,
        "method": report.method,
        "layer": report.layer,
        "threshold": info.threshold.value,
        "positive_class": info.positive_class,
        "activations": list(report.layers),
        "images": [
            {
                "path": one.explanation.case.path,
                "truth": one.explanation.case.truth or None,
                "called": one.explanation.case.called,
                "probabilities": dict(one.explanation.case.probabilities),
                "target": one.explanation.target,
                "log_odds": one.explanation.log_odds,
                "peak": one.explanation.peak,
                "overlay": one.overlay,
                "activations": {
                    grid.layer: {"file": file, "channels": list(grid.channels), "of": grid.of}
                    for grid, file in zip(one.explanation.grids, one.grids, strict=True)
                },
            }
            for one in report.written
        ],
    }


def render(explainer: Explainer, report: Report) -> str:
    """The page as text: one file without any link to the outside; names of files and labels are escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader(PACKAGE, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE).render(
        report=report,
        info=explainer.bundle.info,
        notice=RESEARCH_USE,
        # Our own style sheet: the only text that is not escaped.
        style=Markup(files(PACKAGE).joinpath(STYLE).read_text(encoding="utf-8")),
        picture=lambda name: _embedded(Image.open(report.folder / name)),
        original=lambda case: _embedded(Image.fromarray(original_pixels(case.data, case.path))),
    )


def _write(explainer: Explainer, number: int, one: Explanation, folder: Path) -> Written:
    stem = f"{number:03d}-{_safe(PurePosixPath(one.case.path.replace(chr(92), '/')).stem)}"
    pixels = original_pixels(one.case.data, one.case.path)
    picture = overlay(pixels, one.heat, f"evidence for {one.target}", explainer.applicable.method.value, RESEARCH_USE)
    name = f"maps/{stem}.png"
    _save(picture, folder / name)
    grids = tuple(f"activations/{stem}-{_safe(grid.layer)}.png" for grid in one.grids)
    for grid, path in zip(one.grids, grids, strict=True):
        _save(Image.fromarray(np.asarray(grid.picture)), folder / path)
    return Written(one, name, grids)


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:80]


def _save(picture: Image.Image, path: Path) -> None:
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG")


def _embedded(picture: Image.Image) -> str:
    """A picture as a data URI, no larger than the page shows it."""
    small = picture.convert("L" if picture.mode == "L" else "RGB")
    small.thumbnail((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    small.save(stream, format="JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
