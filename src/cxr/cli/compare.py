"""`cxr compare`: bundles on one manifest's test split, one table, one report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.cli import options
from cxr.cli.out import Out

if TYPE_CHECKING:  # pandas and numpy: loaded when the command runs
    from cxr.compare.nouns import Comparison, Row

COLUMNS = (
    "model",
    "trained by",
    "accuracy %",
    "sensitivity %",
    "specificity %",
    "AUC",
    "MB",
    "ms/image",
    "threshold",
)

Bundles = Annotated[list[Path], typer.Argument(metavar="BUNDLE…", help="Folders that hold a bundle.json.")]
OutDir = Annotated[Path, typer.Option("--out", "-o", help="Folder for report.html, results.json and predictions.")]
ImagesRoot = Annotated[
    str | None,
    typer.Option("--images", help="Folder (or gs:// URL) of the manifest's images [default: the manifest's own]."),
]
CacheDir = Annotated[Path | None, typer.Option("--cache", help="Decoded images, predictions [default: .cxr/cache].")]


def compare(
    bundles: Bundles,
    manifest: options.ManifestPath = options.DEFAULT_MANIFEST,
    out: OutDir = Path("compare"),
    images: ImagesRoot = None,
    cache: CacheDir = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Judge models on the same test patients: one table, one report.

    Scores every bundle on the manifest's test split at the threshold that travels in the bundle, with 95 %
    intervals that resample patients. Bundles of another manifest are refused. Writes report.html (one file,
    nothing from the network), results.json and the predictions. Research use, not a medical device.

    Example: cxr compare models/automl models/custom models/cnn5 --manifest manifest.csv --out compare
    """
    # pandas, numpy and the models' runtimes: only this command needs them.
    from cxr.bundle import read_bundle
    from cxr.compare.comparison import compare as compare_bundles
    from cxr.compare.results import results
    from cxr.manifests.manifest_file import read_manifest
    from cxr.manifests.tasks import view_for
    from cxr.settings import load_settings

    speaker = Out(json=json, quiet=quiet)
    judged = [read_bundle(folder) for folder in bundles]
    ruler = view_for(read_manifest(manifest), judged[0].info.classes)
    with speaker.progress("compare") as advance:
        comparison = compare_bundles(
            judged,
            ruler,
            output=out,
            images=images,
            cache_dir=cache or load_settings().state_dir / "cache",
            on_progress=advance,
        )
    print_comparison(comparison, speaker)
    speaker.result("comparison", results(comparison))
    speaker.say(f"report: {comparison.report_path}")
    speaker.hint(f"open {comparison.report_path} in a browser")


def print_comparison(comparison: Comparison, out: Out) -> None:
    """The table on stdout (nothing with --json) and what has to be said with it on stderr."""
    from cxr.compare.report import words

    out.table(COLUMNS, [_cells(row) for row in comparison.rows])
    out.say()
    for caveat in words.caveats_of(comparison):
        out.say(f"note: {caveat}")
    test = comparison.test_set
    out.say(f"{test.images:,} test images of {test.patients:,} patients; in brackets 95 % intervals over patients")
    out.say(f"{words.DISCLAIMER}.")


def _cells(row: Row) -> tuple[str, ...]:
    from cxr.compare.report import words

    return (
        row.name,
        row.trained_by,
        *(_plain(words.percent(row.metrics[name])) for name in ("accuracy", "sensitivity", "specificity")),
        _plain(words.area(row.metrics["auc"])),
        _plain(words.megabytes(row.model_size_bytes)),
        _plain(words.milliseconds(row.latency_ms)),
        _plain(words.decimal(row.threshold.value) if row.threshold else words.UNKNOWN),
    )


def _plain(text: str) -> str:
    """Without typographic dashes and percent signs: the unit stands in the column's head, and `awk` reads it too."""
    return text.replace(" %", "").replace("–", "-")
