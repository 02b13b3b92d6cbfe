"""`cxr compare`: bundles on one manifest's test split, one table, one report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli import options
from cxr.cli.compare.tables import print_comparison
from cxr.cli.completions import compare_commands
from cxr.cli.out import Out

Bundles = Annotated[
    list[Path],
    typer.Argument(metavar="BUNDLE…", help="Folders that hold a bundle.json.", autocompletion=compare_commands),
]
OutDir = Annotated[Path, typer.Option("--out", "-o", help="Folder for report.html, results.json and predictions.")]
ImagesRoot = Annotated[
    str | None,
    typer.Option("--images", help="Folder (or gs:// URL) of the manifest's images [default: the manifest's own]."),
]
Reference = Annotated[
    str | None,
    typer.Option("--reference", metavar="MODEL", help="Name or folder of the model that the others are held against."),
]
Margin = Annotated[float, typer.Option("--margin", help="How much worse than the reference is still as good.")]
MarginMetric = Annotated[str, typer.Option("--margin-metric", help="The measure that the margin is on.")]
Prevalence = Annotated[
    float | None, typer.Option("--prevalence", help="Predictive values for this share of positives too (0..1).")
]
Sensitivity = Annotated[
    float | None,
    typer.Option("--sensitivity", help="Show the point of this sensitivity too: an oracle, chosen on the test split."),
]
Pictures = Annotated[
    bool, typer.Option("--pictures/--no-pictures", help="Show test images (the worst mistakes) in the report.")
]
CacheDir = Annotated[Path | None, typer.Option("--cache", help="Decoded images, predictions [default: .cxr/cache].")]


def compare_command(
    bundles: Bundles,
    manifest: options.ManifestPath = options.DEFAULT_MANIFEST,
    out: OutDir = Path("compare"),
    images: ImagesRoot = None,
    cache: CacheDir = None,
    reference: Reference = None,
    margin: Margin = 0.02,
    margin_metric: MarginMetric = "auc",
    prevalence: Prevalence = None,
    sensitivity: Sensitivity = None,
    pictures: Pictures = True,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Judge models on the same test patients: one table, one report.

    Scores every bundle on the manifest's test split at the threshold that travels in the bundle, with 95 %
    intervals that resample patients, beside the floors: what file sizes and thumbnails alone reach. Bundles of another
    manifest are refused. Writes report.html (one file, nothing from the network), results as JSON, CSV and Markdown, a
    model card of each model, and the predictions. Research use, not a medical device.

    Of several models one is the reference: the AutoML model if there is one, else the first. The others are "better",
    "within the margin", "worse" or "not shown" by the interval of the paired difference (docs/compare.md).

    Example: cxr compare runs/automl runs/gpu runs/cnn5 --manifest manifest.csv --margin 0.02
    """
    # pandas, numpy and the models' runtimes: only this command needs them.
    from cxr.bundle import read_bundle
    from cxr.compare.comparison import compare as compare_bundles
    from cxr.compare.question import Question
    from cxr.compare.results.document import results
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
            question=Question(reference, margin, margin_metric, prevalence, sensitivity),
            pictures=pictures,
        )
    print_comparison(comparison, speaker)
    speaker.result("comparison", results(comparison))
    speaker.say(f"report: {comparison.report_path}")
    speaker.hint(f"open {comparison.report_path} in a browser")
