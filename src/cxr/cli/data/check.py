"""`cxr data check`: counts and problems of a manifest."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.cli.data.common import check_not_manifest, manifest_flag, print_counts, summary
from cxr.cli.data.findings import print_findings, print_shortcuts, verdict
from cxr.cli.options import DEFAULT_MANIFEST, Json, ManifestPath, Quiet
from cxr.cli.out import Out
from cxr.documents import parse_json
from cxr.errors import CheckFailed

if TYPE_CHECKING:
    from cxr.manifests.check import CheckReport
    from cxr.manifests.check.looks import Looks
    from cxr.manifests.manifest import Manifest


def check_command(
    manifest_path: ManifestPath = DEFAULT_MANIFEST,
    task: Annotated[
        str | None, typer.Option("--task", help="Check it as a task sees it: binary or three-class.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Also write a page with samples, histograms and duplicates.")
    ] = None,
    images: Annotated[
        bool, typer.Option("--images/--no-images", help="Look at the images (for the 32x32 probe and the page).")
    ] = True,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 5 for warnings, too.")] = False,
    accept: Annotated[
        list[str] | None,
        typer.Option("--accept", metavar="RULE", help="A rule's warnings are as they should be (may be repeated)."),
    ] = None,
    reseal: Annotated[bool, typer.Option("--reseal", help="First accept a manifest that was edited by hand.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Draws the samples of the page (and of huge data).")] = 7,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Print counts and problems of a manifest; exit code 5 when one is an error.

    With --strict a warning fails, too, unless its rule (in brackets behind it) is accepted by --accept.

    Example: cxr data check --manifest manifest.csv --html check.html
    """
    from cxr.manifests.check import check, check_acceptable

    out = Out(as_json, quiet)
    check_acceptable(accept or ())
    if html:
        from cxr.manifests.check.page import check_page_packages

        check_not_manifest(html, manifest_path)
        check_page_packages()
    manifest = _viewed(_resealed(manifest_path, out) if reseal else _read(manifest_path), task)
    looks = _look(manifest, seed, out) if images else None
    report = check(manifest, looks, accept=accept or ())
    _print(out, manifest, report, strict)
    if html:
        from cxr.manifests.check.page import write_page

        write_page(manifest, report, looks, html, seed=seed)
        shows = " (it shows images of the data: share it only where they may be shared)" if looks else ""
        out.say(f"\nwrote {html}{shows}")
    _conclude(out, manifest_path, manifest, report, strict)


def _read(path: Path) -> Manifest:
    from cxr.manifests.manifest_file import read_manifest

    return read_manifest(path)


def _resealed(path: Path, out: Out) -> Manifest:
    from cxr.manifests.manifest_file import reseal

    old = _sealed_hash(path)
    manifest = reseal(path)
    if old == manifest.hash:
        out.say(f"{path} is as it was sealed (hash {manifest.hash[:12]}): nothing to accept")
    else:
        out.say(f"{path} resealed: hash {old[:12] or 'unknown'} before, {manifest.hash[:12]} now")
        out.say("results measured on the old hash are results on another manifest")
    return manifest


def _sealed_hash(path: Path) -> str:
    """The hash in the sidecar, empty where it cannot be read: `reseal` says why."""

    from cxr.manifests.manifest_file import sidecar_of

    try:
        return str(parse_json(sidecar_of(path).read_text(encoding="utf-8"))["content_hash"])
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def _viewed(manifest: Manifest, task: str | None) -> Manifest:
    if task is None:
        return manifest
    from cxr.manifests.tasks import task_view

    return task_view(manifest, task)


def _look(manifest: Manifest, seed: int, out: Out) -> Looks | None:
    """The images seen once, or None, with a word, where they are out of reach."""
    from cxr.manifests.check.looks import look

    if manifest.is_remote:
        out.say(f"the images are at {manifest.header.root}: they are not looked at")
        return None
    if not manifest.root.is_dir():
        out.say(f"the images' folder {manifest.root} is not here: they are not looked at")
        return None
    with out.progress("look at images") as advance:
        looks = look(manifest, seed=seed, on_progress=advance)
    if looks.tried < looks.images:
        out.say(f"looked at {looks.tried:,} of {looks.images:,} images, drawn at random (seed {seed})")
    return looks


def _print(out: Out, manifest: Manifest, report: CheckReport, strict: bool) -> None:
    print_counts(out, manifest, report)
    for overlap in report.overlaps:
        shared, known = len(overlap.shared), overlap.right_patients
        out.text(f"patients of test also in train, read by {overlap.reading}: {shared:,} of {known:,}")
    if report.shortcuts:
        print_shortcuts(out, report.shortcuts)
    print_findings(out, report)
    failed = bool(report.failing(strict=strict))
    out.result("data.check", {**summary(manifest), **asdict(report), "ok": report.ok, "failed": failed})


def _conclude(out: Out, path: Path, manifest: Manifest, report: CheckReport, strict: bool) -> None:
    failing = report.failing(strict=strict)
    if failing:
        first = failing[0]
        because = "" if report.errors else " (--strict)"
        hint = first.fix if report.errors else f"{first.fix}; or, if it is as it should be: --accept {first.rule}"
        raise CheckFailed(f"{path}: {verdict(report)}{because}, first: {first.message}", hint=hint)
    out.say(f"\n{verdict(report)}")
    official = manifest.header.split_policy.name == "official"
    out.hint(f"cxr {'data split' if official else 'cloud upload'}{manifest_flag(path)}")
