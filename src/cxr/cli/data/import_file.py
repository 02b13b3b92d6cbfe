"""`cxr data import-file`: what the clouds import."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.cli.cloud.common import CloudFlags, open_place
from cxr.cli.data.common import check_not_manifest, manifest_flag
from cxr.cli.options import DEFAULT_MANIFEST, Json, ManifestPath, On, Project, Quiet, StateDir
from cxr.cli.out import Out
from cxr.errors import UsageError

if TYPE_CHECKING:
    from cxr.manifests.import_files import ImportPlan, WrittenImport
    from cxr.manifests.manifest import Manifest

FORMATS = "csv, jsonl (Vertex AI), automl-vision-csv, sagemaker-lst or sagemaker-manifest."
DEFAULT_NAMES = {
    "csv": "import.csv",
    "jsonl": "import.jsonl",
    "automl-vision-csv": "import-automl.csv",
    "sagemaker-lst": "import.lst",
    "sagemaker-manifest": "import.manifest",
}


def import_file_command(
    images_url: Annotated[
        str,
        typer.Option(
            "--images-url", help="Where the images lie: gs:// or s3://BUCKET/PREFIX/images.", show_default=False
        ),
    ],
    manifest_path: ManifestPath = DEFAULT_MANIFEST,
    format: Annotated[str, typer.Option("--format", help=FORMATS)] = "csv",
    task: Annotated[str | None, typer.Option("--task", help="binary or three-class [default: labels as is].")] = None,
    labels: Annotated[
        str, typer.Option("--labels", help="legal (spelled so that Google takes them; see NAME.labels.json) or as-is.")
    ] = "legal",
    max_bytes: Annotated[
        int | None,
        typer.Option("--max-bytes", min=1, help="Divide larger files [default: 100 MB for Google's formats]."),
    ] = None,
    verify: Annotated[bool, typer.Option(help="First look whether every image is at the images' URL.")] = True,
    out_path: Annotated[
        Path | None, typer.Option("--out", "-o", help="[default: import and the format's suffix]")
    ] = None,
    on: On = None,
    project: Project = None,
    state_dir: StateDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write import files for Vertex AI, AutoML Vision or SageMaker with the manifest's splits.

    Images without a split are left out. A file is read back before it takes its name.

    Example: cxr data import-file --images-url gs://my-bucket/xrays/images --format jsonl
    """
    from cxr.manifests.import_files import ImportFormat, check_target, plan_import, write_import_files
    from cxr.manifests.manifest_file import read_manifest
    from cxr.manifests.tasks import task_view

    out, flags = Out(as_json, quiet), CloudFlags(on=on, project=project, state_dir=state_dir)
    _check_choice("format", format, list(ImportFormat))
    _check_choice("way to spell labels", labels, ["legal", "as-is"])
    target = out_path or Path(DEFAULT_NAMES[format])
    check_target(ImportFormat(format), target, max_bytes)
    check_not_manifest(target, manifest_path)
    manifest = task_view(read_manifest(manifest_path), task)
    _check_scheme(flags, images_url)
    plan = plan_import(manifest, images_url, ImportFormat(format), labels_as_is=labels == "as-is")
    if verify:
        _verify(manifest, plan.base_url, flags, out)
    with out.progress("import file") as advance:
        written = write_import_files(plan, target, max_bytes=max_bytes, on_progress=advance)
    out.table(("split", "images"), list(plan.counts.items()))
    out.result("data.import-file", {**_payload(plan, written, manifest), "task": task, "verified": verify})
    _tell(out, plan, written)
    if not verify:
        out.say(f"it was not checked whether the images are at {plan.base_url}")
        if plan.base_url.startswith("gs://"):
            out.hint(flags.command(f"cxr cloud upload{manifest_flag(manifest_path)}"))
    elif format in {ImportFormat.CSV, ImportFormat.JSONL}:
        out.hint(flags.command(f"cxr cloud dataset{manifest_flag(manifest_path)}"))


def _check_scheme(flags: CloudFlags, url: str) -> None:
    from cxr.cloud.providers import provider_of

    if flags.on is None:
        return
    scheme = provider_of(flags.settings().on).scheme
    if not url.startswith(f"{scheme}://"):
        raise UsageError(
            f"--on {flags.on} is for {scheme}:// URLs", hint="leave it out: then the URL's own SDK knows where that is"
        )


def _check_choice(what: str, given: str, choices: list[str]) -> None:
    if given not in choices:
        raise UsageError(f"unknown {what} {given!r}", hint=f"choose one of: {', '.join(choices)}")


def _verify(manifest: Manifest, url: str, flags: CloudFlags, out: Out) -> None:
    from cxr.manifests.destination import compare_with_listing

    place = open_place(url, flags, out)
    with out.progress(f"listing {url}") as advance:
        found = compare_with_listing(manifest, place, on_progress=advance)
    found.require_all()
    out.say(f"all {found.images:,} images are at {url}")


def _payload(plan: ImportPlan, written: WrittenImport, manifest: Manifest) -> dict[str, object]:
    from cxr.manifests.import_formats.google_csv import VERTEX_ML_USES

    vertex = plan.format in {"csv", "jsonl"}
    return {
        "format": plan.format,
        "path": str(written.files[0].path),
        "rows": len(plan.used),
        "splits": plan.counts,
        **({"ml_use": {VERTEX_ML_USES[split]: n for split, n in plan.counts.items()}} if vertex else {}),
        "left_out": plan.left_out,
        "files": [asdict(file) for file in written.files],
        "labels": dict(plan.labels.spellings),
        "labels_file": written.labels_file,
        "manifest": manifest.hash,
    }


def _tell(out: Out, plan: ImportPlan, written: WrittenImport) -> None:
    from cxr.manifests.import_files import older_files

    if plan.left_out:
        out.say(f"{plan.left_out:,} images without a split were left out")
    for file in written.files:
        out.say(f"wrote {file.path} ({file.rows:,} rows)")
    if written.labels_file:
        spelled = ", ".join(f"{label!r} as {spelling!r}" for label, spelling in plan.labels.changed.items())
        out.say(f"labels are spelled differently, see {written.labels_file}: {spelled}")
    for older in older_files(written):
        out.warn(f"{older} is of an earlier import: do not import both")
