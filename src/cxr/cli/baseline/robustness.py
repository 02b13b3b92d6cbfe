"""`cxr baseline robustness`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.about import RESEARCH_USE
from cxr.cli.baseline.common import CacheDir, Images, check_judged_split
from cxr.cli.options import DEFAULT_MANIFEST, Json, ManifestPath, Quiet
from cxr.cli.out import Out

if TYPE_CHECKING:
    from cxr.compare.robustness import Robustness


def robustness_command(
    bundle_folders: Annotated[list[Path], typer.Argument(metavar="BUNDLE…", help="Folders with bundle.json.")],
    manifest_path: ManifestPath = DEFAULT_MANIFEST,
    split: Annotated[str, typer.Option("--split", help="validation or test.")] = "validation",
    only: Annotated[
        list[str] | None, typer.Option("--corruption", help="Only these, e.g. blur; repeat [default: all].")
    ] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write the table as CSV too.")] = None,
    images: Images = None,
    cache: CacheDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score bundles on corrupted copies of a split's images: blurred, compressed, cropped, with another contrast…

    Each bundle is judged at its own threshold. Intervals resample patients. What ranks methods here is what they lose
    when the same chest is shown otherwise; it is no other hospital. Research use, not a medical device.

    Example: cxr baseline robustness runs/cnn5 runs/flagship --manifest manifest.csv
    """
    from cxr.bundle import read_bundle
    from cxr.compare.nouns import Draws
    from cxr.compare.robustness import robustness, robustness_csv, tuned_note
    from cxr.compare.statistics.bootstrap import DRAWS, SEED
    from cxr.local_baseline.images.corruptions import find_corruptions
    from cxr.manifests.manifest_file import read_manifest
    from cxr.manifests.tasks import view_for
    from cxr.settings import load_settings

    out = Out(as_json, quiet)
    check_judged_split(split)
    corruptions = find_corruptions(tuple(only or ()))
    bundles = [read_bundle(folder) for folder in bundle_folders]
    manifest = view_for(read_manifest(manifest_path), bundles[0].info.classes)
    with out.progress("robustness") as advance:
        results = robustness(
            bundles,
            manifest,
            corruptions,
            split=split,
            images=images,
            cache_dir=cache or load_settings().state_dir / "cache",
            draws=Draws(DRAWS, SEED),
            on_progress=advance,
        )
    for result in results:
        _print(out, result)
    for bundle in bundles:
        if note := tuned_note(bundle, split):
            out.say(f"note: {note}")
    if csv_file is not None:
        robustness_csv(results, csv_file)
        out.say(f"table: {csv_file}")
    payload = {
        "split": split,
        "corruptions": [{"name": each.name, "severity": each.severity, "why": each.why} for each in corruptions],
        "bundles": [asdict(result) for result in results],
    }
    out.result("baseline.robustness", payload)
    out.say(f"Intervals resample patients. {RESEARCH_USE}.")


def _print(out: Out, result: Robustness) -> None:
    lines = [
        (
            score.corruption,
            f"{score.auc:.4f}",
            f"{score.accuracy:.4f}",
            f"{score.sensitivity:.4f}",
            f"{score.specificity:.4f}",
        )
        for score in result.scores
    ]
    title = f"{result.name} on {result.images:,} {result.split} images, threshold {result.threshold:.4f}"
    out.table(("corruption", "AUC", "accuracy", "sensitivity", "specificity"), lines, title=title)
    out.text("")
    summary = [
        (name.replace("_", " "), *(f"{value:.4f}" for value in (estimate.value, estimate.low, estimate.high)))
        for name, estimate in result.summary.items()
    ]
    out.table(("over all corruptions", "value", "95 % low", "high"), summary)
    out.text("")
