"""`cxr export verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.about import RESEARCH_USE
from cxr.cli.baseline.common import CacheDir, Images, beside, check_judged_split
from cxr.cli.options import DEFAULT_MANIFEST, Json, Quiet
from cxr.cli.out import Out
from cxr.errors import CheckFailed, UsageError

if TYPE_CHECKING:
    from cxr.bundle import Bundle
    from cxr.compare.parity.nouns import FormatCheck, Verification
    from cxr.manifests.manifest import Manifest

LIMIT = 1_000


def verify_command(
    bundle_folder: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The bundle that was exported.")],
    exports: Annotated[Path | None, typer.Option("--exports", help="Its exports [default: BUNDLE-exports].")] = None,
    manifest_path: Annotated[
        Path | None, typer.Option("--manifest", "-m", help="Score a split of it too [default: manifest.csv, if there].")
    ] = None,
    split: Annotated[str, typer.Option("--split", help="test or validation.")] = "test",
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many images of the split.")] = LIMIT,
    allow: Annotated[
        list[str] | None,
        typer.Option("--allow", metavar="FORMAT", help="Ship this one whatever it differs by; repeat."),
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Run the page's code in Chromium, where there is one.")
    ] = True,
    images: Images = None,
    cache: CacheDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score golden images and the test split with every export, and compare with the bundle's own probabilities.

    Each runs where it will run: SavedModel in TensorFlow (from the files' bytes and from pixels), TFLite in LiteRT,
    ONNX in onnxruntime, TensorFlow.js in Node and in headless Chromium. What decodes files by itself has its pixels
    compared first. Beyond its tolerance a format is refused for shipping (exit code 5).
    Research use, not a medical device.

    Example: cxr export verify runs/cnn5 --allow tflite-int8
    """
    from cxr.bundle import read_bundle
    from cxr.compare.parity.document import verification_document, write_verification
    from cxr.compare.parity.verify import VerifyRequest, verify
    from cxr.settings import load_settings

    out = Out(as_json, quiet)
    check_judged_split(split)
    bundle = read_bundle(bundle_folder)
    request = VerifyRequest(
        source=bundle,
        exports=exports or beside(bundle_folder, "exports"),
        cache_dir=cache or load_settings().state_dir / "cache",
        manifest=_manifest(bundle, manifest_path),
        split=split,
        images=images,
        limit=limit,
        allowed=_allowed(allow),
        in_browser=browser,
    )
    with out.progress("verify") as advance:
        verification = verify(request, advance)
    path = write_verification(verification)
    _print(out, verification)
    out.result("export.verify", verification_document(verification))
    out.say(f"verification: {path}. {RESEARCH_USE}.")
    _refuse_failed(verification, bundle_folder)


def _refuse_failed(verification: Verification, folder: Path) -> None:
    names = list(dict.fromkeys(check.format.name for check in verification.failed))
    if names:
        options = " ".join(f"--allow {name}" for name in names)
        raise CheckFailed(
            f"{', '.join(names)}: beyond the tolerance, and refused for shipping",
            hint=f"to ship nevertheless: cxr export verify {folder} {options}",
        )


def _manifest(bundle: Bundle, path: Path | None) -> Manifest | None:
    from cxr.manifests.manifest_file import read_manifest
    from cxr.manifests.tasks import view_for

    if path is None and not DEFAULT_MANIFEST.is_file():
        return None
    return view_for(read_manifest(path or DEFAULT_MANIFEST), bundle.info.classes)


def _allowed(names: list[str] | None) -> frozenset[str]:
    from cxr.local_baseline.exports.registry import FORMATS

    for name in names or ():
        if name not in FORMATS:
            raise UsageError(f"there is no format {name!r}", hint=f"the formats are: {', '.join(FORMATS)}")
    return frozenset(names or ())


def _print(out: Out, verification: Verification) -> None:
    columns = ("format", "in", "verdict", "max diff.", "mean", "flipped", "pixels", "kB", "p50 ms", "p95 ms", "MB")
    source, reference = verification.source, verification.reference
    first = (
        source.info.name, "TensorFlow", "reference", None, None, None, None, round(source.model_size_bytes / 1000),
        f"{reference.median_ms:.1f}", f"{reference.p95_ms:.1f}", _megabytes(reference.peak_mb),
    )  # fmt: skip
    out.table(columns, [first, *(_row(check) for check in verification.checks)])
    scored = f"{verification.golden_images} golden images"
    if verification.split:
        scored += f" and {verification.split_images:,} of the {verification.split} split"
    out.say(f"Scored: {scored}. Differences are of probabilities; MB is the peak memory of the process.")
    for check in verification.checks:
        if check.why:
            out.say(f"{check.format.name} ({check.where}): {check.why}")
    for check in verification.checks:
        if check.left_out:
            out.say(f"{check.format.name} ({check.where}), judged by themselves: {'; '.join(check.left_out)}")
    for note in verification.notes:
        out.say(f"note: {note}")


def _row(check: FormatCheck) -> tuple[object, ...]:
    difference, cost = check.split or check.golden, check.cost
    largest = max((one.largest for one in (check.golden, check.split) if one), default=None)
    return (
        check.format.name,
        check.where if check.runtime else None,
        check.verdict.value,
        f"{largest:.1e}" if largest is not None else None,
        f"{difference.mean:.1e}" if difference else None,
        f"{difference.flipped} of {difference.images}" if difference else None,
        f"max {check.pixels.largest}" if check.pixels else None,
        round(check.bundle.model_size_bytes / 1000),
        f"{cost.median_ms:.1f}" if cost else None,
        f"{cost.p95_ms:.1f}" if cost else None,
        _megabytes(cost.peak_mb) if cost else None,
    )


def _megabytes(value: float | None) -> str | None:
    return None if value is None else f"{value:.0f}"
