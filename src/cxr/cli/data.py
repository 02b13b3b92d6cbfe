"""`cxr data`: from a folder of images to a manifest that every other command takes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.cli.options import DEFAULT_MANIFEST, Json, ManifestPath, Quiet
from cxr.cli.out import Out
from cxr.errors import CheckFailed, InputError, NotAllowed, UsageError

if TYPE_CHECKING:
    from cxr.manifests.check import CheckReport
    from cxr.manifests.manifest import Manifest

app = typer.Typer(
    help="Scan, check and split a folder of X-rays; draw a synthetic one; write import files.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

#: Problems shown in full before the rest is only counted.
SHOWN_PROBLEMS = 10


@app.command("scan")
def scan_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="DIR/<split>/<label>/… or DIR/<label>/…")],
    out_path: Annotated[Path, typer.Option("--out", "-o", help="The manifest to write.")] = DEFAULT_MANIFEST,
    patient_key: Annotated[
        str, typer.Option("--patient-key", help="How file names tell patients: etiology+number or number.")
    ] = "etiology+number",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read every image of a folder once and write a manifest.

    Example: cxr data scan chest_xray --out manifest.csv
    """
    from cxr.manifests.manifest import write_manifest
    from cxr.manifests.scan import scan

    out = Out(as_json, quiet)
    with out.progress("scan") as advance:
        manifest = write_manifest(scan(folder, patient_key=patient_key, on_progress=advance), out_path)
    _print_counts(out, manifest)
    problems = manifest.header.problems
    for problem in problems[:SHOWN_PROBLEMS]:
        out.say(f"{problem.severity}: {problem.path}: {problem.message} [{problem.rule}]")
    if len(problems) > SHOWN_PROBLEMS:
        out.say(f"… and {len(problems) - SHOWN_PROBLEMS:,} more problems; all are in {out_path.with_suffix('.json')}")
    out.result("data.scan", {**_summary(manifest), "problems": [asdict(problem) for problem in problems]})
    out.say(f"wrote {out_path} ({manifest.header.images:,} images, hash {manifest.hash[:12]})")
    out.hint(f"cxr data check{_manifest_flag(out_path)}")


@app.command("check")
def check_command(manifest_path: ManifestPath = DEFAULT_MANIFEST, as_json: Json = False, quiet: Quiet = False) -> None:
    """Print counts and problems of a manifest; exit code 5 when one is an error.

    Example: cxr data check --manifest manifest.csv
    """
    from cxr.manifests.check import check
    from cxr.manifests.manifest import read_manifest

    out = Out(as_json, quiet)
    manifest = read_manifest(manifest_path)
    report = check(manifest)
    _print_counts(out, manifest, report)
    for overlap in report.overlaps:
        shared, known = len(overlap.shared), overlap.right_patients
        out.text(f"patients of test also in train, read by {overlap.reading}: {shared:,} of {known:,}")
    for finding in report.findings:
        out.text(f"\n{finding.severity}: {finding.message} [{finding.rule}]")
        if finding.examples:
            out.text(f"  e.g. {', '.join(finding.examples)}")
        out.text(f"  fix: {finding.fix}")
    out.result("data.check", {**_summary(manifest), **asdict(report), "ok": report.ok})
    if not report.ok:
        count = len(report.errors)
        raise CheckFailed(
            f"{manifest_path}: {count} error{'s' if count > 1 else ''}, first: {report.errors[0].message}",
            hint=report.errors[0].fix,
        )
    out.say("\nno errors" + (f", {len(report.findings)} warnings" if report.findings else ""))
    split_is_made = manifest.header.split_policy.name == "grouped"
    out.hint(
        f"cxr cloud upload{_manifest_flag(manifest_path)}"
        if split_is_made
        else f"cxr data split{_manifest_flag(manifest_path)}"
    )


@app.command("split")
def split_command(
    manifest_path: ManifestPath = DEFAULT_MANIFEST,
    validation: Annotated[float, typer.Option("--validation", help="Share of the training images.")] = 0.1,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same split.")] = 7,
    out_path: Annotated[
        Path | None, typer.Option("--out", "-o", help="The manifest to write [default: the same one].")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a validation split of whole patients out of train; test is left alone.

    Example: cxr data split --validation 0.1 --seed 7
    """
    from cxr.manifests.manifest import read_manifest, write_manifest
    from cxr.manifests.split import make_validation

    out = Out(as_json, quiet)
    before = read_manifest(manifest_path)
    made = make_validation(before, validation=validation, seed=seed)
    target = out_path or manifest_path
    manifest = write_manifest(made, target)
    _print_counts(out, manifest)
    unused = int((manifest.frame["split"] == "").sum())
    original = before.split("validation")
    folded = len(original) if before.header.split_policy.name == "official" else 0
    out.result("data.split", {**_summary(manifest), "folded_back": folded, "unused": unused})
    if folded:
        out.say(f"the {folded:,} images of the original validation folder were folded back and split anew with train")
    if unused:
        out.say(f"{unused:,} images are in no split now: their patients also occur in test, which is left alone")
    out.say(f"wrote {target} (hash {manifest.hash[:12]})")
    out.hint(f"cxr baseline train{_manifest_flag(target)}")


@app.command("sample")
def sample_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to draw into.")],
    images: Annotated[int, typer.Option("--images", help="How many images to draw.")] = 600,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same images.")] = 7,
    force: Annotated[bool, typer.Option("--force", help="Draw into a folder that is not empty.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw synthetic radiographs in the Kaggle layout, for trials where no real data may be had.

    Example: cxr data sample sample-xrays --images 600
    """
    from cxr.manifests.sample import draw_sample

    out = Out(as_json, quiet)
    if not force and _is_occupied(folder):
        raise UsageError(f"{folder} is not empty", hint="name another folder, or add --force to draw into it")
    with out.progress("draw") as advance:
        draw_sample(folder, images=images, seed=seed, on_progress=advance)
    out.result("data.sample", {"folder": str(folder), "images": images, "seed": seed, "synthetic": True})
    out.say(f"drew {images:,} SYNTHETIC images into {folder}: no patient stands behind them (each file says so)")
    out.hint(f"cxr data scan {folder}")


@app.command("import-file")
def import_file_command(
    images_url: Annotated[
        str, typer.Option("--images-url", help="Where the images lie: gs://BUCKET/PREFIX/images.", show_default=False)
    ],
    manifest_path: ManifestPath = DEFAULT_MANIFEST,
    format: Annotated[str, typer.Option("--format", help="csv or jsonl.")] = "csv",
    out_path: Annotated[Path | None, typer.Option("--out", "-o", help="[default: import.csv or import.jsonl]")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a Vertex AI import file with the manifest's splits.

    Example: cxr data import-file --images-url gs://my-bucket/xrays/images --format jsonl
    """
    from collections import Counter

    from cxr.manifests.import_files import ImportFormat, write_import_file
    from cxr.manifests.manifest import read_manifest

    out = Out(as_json, quiet)
    if format not in set(ImportFormat):
        raise UsageError(f"unknown format {format!r}", hint=f"choose one of: {', '.join(ImportFormat)}")
    target = out_path or Path(f"import.{format}")
    manifest = read_manifest(manifest_path)
    rows = write_import_file(manifest, images_url, target, ImportFormat(format))
    counts = Counter(row.ml_use for row in rows)
    out.table(("ml_use", "images"), sorted(counts.items()))
    out.result(
        "data.import-file", {"path": str(target), "rows": len(rows), "ml_use": counts, "manifest": manifest.hash}
    )
    if left_out := len(manifest.frame) - len(rows):
        out.say(f"{left_out:,} images without a split were left out")
    out.say(f"wrote {target} ({len(rows):,} rows)")
    out.hint(f"cxr cloud upload{_manifest_flag(manifest_path)}")


def _print_counts(out: Out, manifest: Manifest, report: CheckReport | None = None) -> None:
    labels = manifest.classes
    columns = ["split", *labels, "all", *(["patients"] if report else [])]
    rows: list[list[object]] = []
    for split in ("train", "validation", "test", "unused"):
        counts = manifest.header.counts.get(split)
        if counts is None:
            continue
        row: list[object] = [split, *(counts.get(label, 0) for label in labels), sum(counts.values())]
        rows.append([*row, report.patients[split]] if report else row)
    out.table(columns, rows)


def _summary(manifest: Manifest) -> dict[str, object]:
    header = manifest.header
    return {
        "manifest": str(manifest.location) if manifest.location else None,
        "hash": manifest.hash,
        "root": header.root,
        "images": header.images,
        "counts": header.counts,
        "patient_key": header.patient_key,
        "split_policy": asdict(header.split_policy),
    }


def _manifest_flag(path: Path) -> str:
    return "" if path == DEFAULT_MANIFEST else f" --manifest {path}"


def _is_occupied(folder: Path) -> bool:
    try:
        return folder.is_dir() and any(folder.iterdir())
    except PermissionError as error:
        raise NotAllowed(f"no permission to read {folder}") from error
    except OSError as error:
        raise InputError(f"cannot read {folder}: {error.strerror}") from error
