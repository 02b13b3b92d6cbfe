"""`cxr export BUNDLE`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cxr.about import RESEARCH_USE
from cxr.cli.baseline.common import CacheDir, Images, beside
from cxr.cli.completions import export_commands, export_formats
from cxr.cli.options import DEFAULT_MANIFEST, Json, Quiet
from cxr.cli.out import Out
from cxr.errors import Fault

if TYPE_CHECKING:
    from cxr.bundle import Bundle
    from cxr.local_baseline.exports.making import Export
    from cxr.local_baseline.exports.nouns import Format
    from cxr.local_baseline.exports.plan import PlannedExport
    from cxr.manifests.manifest import Manifest

REPRESENTATIVE = 200


KerasBundle = Annotated[
    Path,
    typer.Argument(metavar="BUNDLE", help="A folder with bundle.json (Keras).", autocompletion=export_commands),
]
FormatNames = Annotated[
    str | None,
    typer.Option(
        "--to",
        help="Formats by commas, or all [default: saved-model,tflite,tfjs-uint16].",
        autocompletion=export_formats,
    ),
]


def export_command(
    bundle_folder: KerasBundle,
    to: FormatNames = None,
    out_folder: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the exports [default: BUNDLE-exports].")
    ] = None,
    manifest_path: Annotated[
        Path | None,
        typer.Option("--manifest", "-m", help="Its training images set the ranges of 8 bits [default: manifest.csv]."),
    ] = None,
    images: Images = None,
    representative: Annotated[
        int, typer.Option("--representative", help="Training images that set the ranges of 8 bits.")
    ] = REPRESENTATIVE,
    cache: CacheDir = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be made, make nothing.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Make anew what is there and up to date.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a bundle's model in other formats, each a bundle of its own that cxr compare takes.

    Formats: saved-model, tflite, tflite-float16, tflite-dynamic, tflite-int8, edgetpu, tfjs, tfjs-float16, tfjs-uint16,
    tfjs-uint8, onnx, coreml, litert. Scaling and calibration are inside the files: whole numbers 0..255 in, calibrated
    probabilities out. What is up to date is kept. Research use, not a medical device.

    Example: cxr export runs/cnn5 --to tflite,tfjs-float16

    Example: cxr export runs/cnn5 --to all --manifest manifest.csv
    """
    from cxr.bundle import read_bundle
    from cxr.local_baseline.exports.making import make_exports
    from cxr.local_baseline.exports.plan import ExportRequest, plan_exports
    from cxr.local_baseline.exports.source import check_exportable
    from cxr.settings import load_settings

    out = Out(as_json, quiet)
    bundle = read_bundle(bundle_folder)
    check_exportable(bundle)
    manifest = _manifest(out, bundle, manifest_path)
    formats, left_out = _formats(to, manifest)
    place, cache_dir = out_folder or beside(bundle_folder, "exports"), cache or load_settings().state_dir / "cache"
    where = _images(images, manifest)
    request = ExportRequest(bundle, formats, place, cache_dir, manifest, where, representative, fresh)
    planned = plan_exports(request)
    for name, why in left_out.items():
        out.say(f"left out: {name}: {why}")
    if dry_run:
        _print_plan(out, request.output, planned, left_out)
        return
    with out.progress("export") as advance:
        exports = make_exports(request, planned, advance, out.say)
    _print_exports(out, bundle, exports, left_out)
    _hint(out, bundle_folder, manifest_path, exports)


def _manifest(out: Out, bundle: Bundle, path: Path | None) -> Manifest | None:
    """The manifest that is named; without a name the one that is there, if there is one."""
    from cxr.manifests.manifest_file import read_manifest
    from cxr.manifests.tasks import view_for

    if path is None and not DEFAULT_MANIFEST.is_file():
        return None
    manifest = view_for(read_manifest(path or DEFAULT_MANIFEST), bundle.info.classes)
    if manifest.hash != bundle.info.manifest_hash:
        out.say("note: this is not the manifest that the bundle was trained on; 8-bit ranges come from its train split")
    return manifest


def _images(images: str | None, manifest: Manifest | None) -> str:
    from cxr.local_baseline.images.cache import images_root

    return (images or images_root(manifest)) if manifest is not None else ""


def _formats(to: str | None, manifest: Manifest | None) -> tuple[tuple[Format, ...], dict[str, str]]:
    """The formats to make, and of `all` those that cannot be made here, with the reason. Raises MissingPackage for a
    format that is named and lacks one."""
    from cxr.local_baseline.exports.registry import ALL, DEFAULT_FORMATS, lacking, parse_formats

    formats = parse_formats(to if to is not None else ",".join(DEFAULT_FORMATS))
    left_out: dict[str, str] = {}
    for form in formats:
        if missing := lacking(form):
            if (to or "").strip() != ALL:
                raise missing
            left_out[form.name] = f"{missing.message}: {missing.hint}"
        elif (to or "").strip() == ALL and form.needs_representative and manifest is None:
            left_out[form.name] = "its 8-bit ranges are set by training images: --manifest FILE"
    return tuple(form for form in formats if form.name not in left_out), left_out


def _print_plan(out: Out, folder: Path, planned: Sequence[PlannedExport], left_out: dict[str, str]) -> None:
    rows = [(one.format.name, one.format.words, one.folder, "kept" if one.kept else "make") for one in planned]
    out.table(("format", "for", "folder", "plan"), rows)
    exports = [
        {"format": one.format.name, "folder": str(one.folder), "plan": "kept" if one.kept else "make"}
        for one in planned
    ]
    out.result("export.plan", {"out": str(folder), "exports": exports, "left_out": left_out})


def _print_exports(out: Out, bundle: Bundle, exports: Sequence[Export], left_out: dict[str, str]) -> None:
    keras = bundle.model_size_bytes
    rows = [_row(one, keras) for one in exports]
    out.table(("format", "model", "files", "kB", "of Keras", "seconds"), rows)
    for one in exports:
        if one.failure is not None:
            hint = f" (next: {one.failure.hint})" if one.failure.hint else ""
            out.warn(f"{one.format.name}: {one.failure.message}{hint}")
    payload = {"source": str(bundle.folder), "source_hash": bundle.hash, "keras_bytes": keras, "left_out": left_out}
    out.result("export", {**payload, "exports": [_as_json(one) for one in exports]})
    failed = [one.format.name for one in exports if one.failure is not None]
    if failed:
        raise Fault(f"{len(failed)} of {len(exports)} formats failed: {', '.join(failed)}", hint="the others are there")


def _row(one: Export, keras: int) -> tuple[object, ...]:
    if one.bundle is None:
        return (one.format.name, "failed", None, None, None, f"{one.seconds:.1f}")
    size = one.bundle.model_size_bytes
    ratio = f"{size / keras:.0%}" if keras else "-"
    seconds = "kept" if one.kept else f"{one.seconds:.1f}"
    return (one.format.name, one.bundle.model_path, len(one.bundle.info.files), round(size / 1000), ratio, seconds)


def _as_json(one: Export) -> dict[str, Any]:
    made: dict[str, Any] = {"format": one.format.name, "folder": str(one.folder), "kept": one.kept}
    if one.bundle is not None:
        size = one.bundle.model_size_bytes
        made |= {"hash": one.bundle.hash, "model": str(one.bundle.model_path), "bytes": size}
    failure = one.failure and {"error": one.failure.message, "hint": one.failure.hint}
    return {**made, "seconds": round(one.seconds, 1), "failure": failure}


def _hint(out: Out, bundle_folder: Path, manifest_path: Path | None, exports: Sequence[Export]) -> None:
    flag = f" --manifest {manifest_path}" if manifest_path else ""
    out.say(f"Scaling and calibration are inside these files. {RESEARCH_USE}.")
    scored = [str(one.folder) for one in exports if one.format.model_format in ("saved-model", "tflite")]
    if scored:
        out.hint(f"cxr compare {bundle_folder} {' '.join(scored)}{flag}")
