"""From a checked manifest to its HTML page."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Final

from cxr.about import RESEARCH_USE
from cxr.errors import missing_package
from cxr.files import write_text_atomically
from cxr.manifests.check.looks import Looks
from cxr.manifests.check.nouns import CheckReport, Finding
from cxr.manifests.check.page.charts import Chart, Key, charts, keys_of
from cxr.manifests.check.page.pictures import Group, Strip, contact_sheet, duplicate_groups
from cxr.manifests.manifest import SPLITS, Manifest
from cxr.version import __version__

EXTRA: Final = "data"
#: Columns of labels in the table of counts.
MAX_COLUMNS: Final = 12


@dataclass(frozen=True, slots=True)
class Page:
    """What the template shows; without `looks` there are no pictures."""

    manifest: Manifest
    report: CheckReport
    looks: Looks | None
    strips: list[Strip]
    groups: list[Group]
    group_count: int
    charts: list[Chart]
    keys: list[Key]

    @property
    def splits(self) -> list[str]:
        """The splits that have images, `unused` last."""
        return [split for split in (*SPLITS, "unused") if split in self.report.counts]

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in the table of counts."""
        return self.manifest.classes[:MAX_COLUMNS]

    @property
    def verdict(self) -> str:
        """The page's headline."""
        errors, warnings, accepted = len(self.report.errors), len(self.report.warnings), len(self.report.accepted)
        if errors:
            return f"{_some(errors, 'error')} to repair before this data is used"
        words = f"No errors, {_some(warnings, 'warning')}" if warnings else "No errors and no warnings"
        return f"{words} ({accepted} accepted)" if accepted else words

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Worst first."""
        return self.report.findings


def write_page(manifest: Manifest, report: CheckReport, looks: Looks | None, path: Path, *, seed: int = 7) -> None:
    """Write the page: one file without any link to the outside and without a script."""
    write_text_atomically(path, render_page(manifest, report, looks, seed=seed))


def render_page(manifest: Manifest, report: CheckReport, looks: Looks | None, *, seed: int = 7) -> str:
    """The page as text; `seed` draws the samples. Without `looks` no image is opened and none shown.

    Raises MissingPackage when jinja2 is not installed.
    """
    check_page_packages()
    # An optional package: imported when a page is made.
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    package = "cxr.manifests.check.page"
    environment = Environment(
        loader=PackageLoader(package, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    groups, group_count = duplicate_groups(manifest) if looks else ([], 0)
    page = Page(
        manifest=manifest,
        report=report,
        looks=looks,
        strips=contact_sheet(manifest, seed) if looks else [],
        groups=groups,
        group_count=group_count,
        charts=charts(manifest, looks),
        keys=keys_of(manifest),
    )
    return environment.get_template("template.html.j2").render(
        page=page,
        manifest=manifest,
        report=report,
        seed=seed,
        version=__version__,
        disclaimer=RESEARCH_USE,
        # Our own style sheet and drawings (whose texts are escaped where they are made): not escaped again.
        style=Markup(files(package).joinpath("style.css").read_text(encoding="utf-8")),
        svg=Markup,
    )


def check_page_packages() -> None:
    """Raise MissingPackage now rather than after the images have been looked at."""
    try:
        import_module("jinja2")
    except ImportError as error:
        raise missing_package("jinja2", EXTRA) from error


def _some(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
