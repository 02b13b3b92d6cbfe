"""`cxr baseline evaluate`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cxr.cli.baseline.common import CacheDir, Images
from cxr.cli.options import DEFAULT_MANIFEST, Json, ManifestPath, Quiet
from cxr.cli.out import Out

if TYPE_CHECKING:
    from cxr.compare.nouns import Row


def evaluate_command(
    bundle_folder: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A folder with bundle.json.")],
    manifest_path: ManifestPath = DEFAULT_MANIFEST,
    split: Annotated[str, typer.Option("--split", help="test or validation.")] = "test",
    images: Images = None,
    cache: CacheDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Judge a bundle on a split of its manifest, at the threshold that it carries.

    Example: cxr baseline evaluate runs/cnn5 --manifest manifest.csv
    """
    from cxr.bundle import read_bundle
    from cxr.compare.bootstrap import DRAWS, SEED
    from cxr.compare.nouns import Draws
    from cxr.compare.predictions import predict
    from cxr.compare.rows import model_row
    from cxr.manifests.manifest_file import read_manifest
    from cxr.settings import load_settings

    out = Out(as_json, quiet)
    bundle, manifest = read_bundle(bundle_folder), read_manifest(manifest_path)
    cache_dir = cache or load_settings().state_dir / "cache"
    with out.progress("evaluate") as advance:
        predictions = predict(bundle, manifest, images=images, cache_dir=cache_dir, split=split, on_progress=advance)
    row = model_row(bundle, predictions, manifest, manifest.classes, Draws(DRAWS, SEED), name=bundle.info.name)
    _print_row(out, row, manifest.classes, split, len(predictions.frame))
    flag = "" if manifest_path == DEFAULT_MANIFEST else f" --manifest {manifest_path}"
    out.hint(f"cxr compare {bundle.folder}{flag}")


def _print_row(out: Out, row: Row, classes: tuple[str, ...], split: str, count: int) -> None:
    table = [
        (name.replace("_", " "), *(f"{value:.4f}" for value in (estimate.value, estimate.low, estimate.high)))
        for name, estimate in row.metrics.items()
    ]
    out.table((f"{row.name} on {split}", "value", "95 % low", "high"), table)
    counts = [(f"truly {name}", *map(int, line)) for name, line in zip(classes, row.confusion, strict=True)]
    out.text("")
    out.table(("", *(f"called {name}" for name in classes)), counts)
    threshold = row.threshold.value if row.threshold else None
    payload: dict[str, Any] = {
        "split": split,
        "images": count,
        "threshold": threshold,
        "metrics": {name: asdict(estimate) for name, estimate in row.metrics.items()},
        "classes": classes,
        "confusion": row.confusion.tolist(),
        "latency_ms": row.latency_ms,
    }
    out.result("baseline.evaluate", payload)
    out.say(f"{count:,} images; intervals resample patients. Research use, not a medical device.")
