"""`cxr data import-dicom`: DICOM in, grey PNG without a patient's name out."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.cli.options import Json, Quiet
from cxr.cli.out import Out
from cxr.errors import CheckFailed, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cxr.manifests.dicom import ImportPlan, ImportResult, PlannedImage, Pseudonyms
    from cxr.manifests.manifest import Problem

#: Problems shown in full before the rest is only counted.
SHOWN_PROBLEMS = 10


def import_dicom_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="DICOM in DIR/<split>/<label>/… or DIR/<label>/…")],
    out_path: Annotated[Path, typer.Option("--out", "-o", help="The folder to write PNG into.", show_default=False)],
    salt_file: Annotated[
        Path | None,
        typer.Option("--salt-file", help="The secret behind the patient keys [default: .cxr/dicom-salt, made once]."),
    ] = None,
    dropped_tags: Annotated[
        Path | None,
        typer.Option("--dropped-tags", help="Table of the tags left behind [default: OUT-dropped-tags.csv]."),
    ] = None,
    any_modality: Annotated[
        bool, typer.Option("--any-modality", help="Take also what is no radiograph (CT, secondary capture).")
    ] = False,
    allow_burned_in: Annotated[
        bool, typer.Option("--allow-burned-in", help="Take also images flagged to show the patient's name or face.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read the headers and say what would be written.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Turn DICOM radiographs into 8-bit grey PNG under salted patient keys, with no other tag copied.

    Files are DICOM by their magic bytes, whatever they are called. Labels come from the folders; folders below a label
    are not copied. Text burned into the pixels is NOT removed: only the file's own flag is reported.
    A second run goes on where the first stopped. Exit code 5 when some file could not be taken.
    Research use, not a medical device.

    Example: cxr data import-dicom hospital-export --out xrays
    """
    from cxr.manifests.dicom import ImportOptions, ImportResult, plan_import, run_import, write_dropped_tags

    out = Out(as_json, quiet)
    salt_path, names = _pseudonyms(out, folder, out_path, salt_file, dry_run=dry_run)
    with out.progress("headers") as advance:
        plan = plan_import(folder, names, ImportOptions(any_modality, allow_burned_in), on_progress=advance)
    table = dropped_tags or _beside(out_path)
    result = ImportResult((), (), tuple(plan.problems))
    if not dry_run:
        with out.progress("import") as advance:
            result = run_import(plan, out_path, on_progress=advance)
        write_dropped_tags(plan.tags, table)
    _print_problems(out, result.problems)
    _print_counts(out, plan.images if dry_run else [*result.written, *result.kept])
    places = {"out": str(out_path), "salt_file": str(salt_path), "dropped_tags": None if dry_run else str(table)}
    out.result("data.import-dicom", {**places, "dry_run": dry_run, **_summary(plan, result)})
    _say_flags(out, plan)
    if dry_run:
        out.say(f"dry run: nothing was written; {len(plan.images):,} of {plan.files:,} DICOM files would be")
    else:
        already = f", {len(result.kept):,} were there already" if result.kept else ""
        out.say(f"wrote {len(result.written):,} images into {out_path}{already}; the tags left behind are in {table}")
    _fail_on_errors(result)
    if not dry_run:
        out.hint(f"cxr data scan {out_path} --patient-key folder")


def _pseudonyms(
    out: Out, folder: Path, out_path: Path, salt_file: Path | None, *, dry_run: bool
) -> tuple[Path, Pseudonyms]:
    """Where the salt is and the names made with it. A dry run makes no salt."""
    from cxr.manifests.dicom import Pseudonyms, check_places, read_or_make_salt
    from cxr.settings import load_settings

    path = salt_file or load_settings().state_dir / "dicom-salt"
    check_places(folder, out_path, path)
    if path.exists():
        return path, Pseudonyms(read_or_make_salt(path)[0])
    if dry_run:
        return path, Pseudonyms(b"")
    if next(out_path.rglob("*.png"), None) is not None:
        raise UsageError(
            f"{out_path} has images of an earlier import, but there is no salt at {path}: "
            "with a new one the same patients would get other keys",
            hint="name the earlier salt, --salt-file FILE, or another --out",
        )
    salt, made = read_or_make_salt(path)
    if made:
        out.say(f"made a salt: {path}. Keep it secret and keep it: with it keys lead back to patients, and")
        out.say("without it a later import gives the same patients other keys")
    return path, Pseudonyms(salt)


def _beside(out_path: Path) -> Path:
    # Not among the images, where every scan would have to say that it is none. `.` and `..` have no name.
    place = out_path if out_path.name not in ("", "..") else out_path.resolve()
    return place.with_name(f"{place.name}-dropped-tags.csv")


def _print_problems(out: Out, problems: Sequence[Problem]) -> None:
    for problem in problems[:SHOWN_PROBLEMS]:
        out.say(f"{problem.severity}: {problem.path}: {problem.message} [{problem.rule}]")
    if len(problems) > SHOWN_PROBLEMS:
        by_rule = Counter(problem.rule for problem in problems)
        words = ", ".join(f"{rule} {count:,}" for rule, count in sorted(by_rule.items()))
        out.say(f"… {len(problems):,} problems in all: {words}")


def _print_counts(out: Out, images: Sequence[PlannedImage]) -> None:
    counts = Counter((image.split or "-", image.label) for image in images)
    patients = {place: set[str]() for place in counts}
    for image in images:
        patients[image.split or "-", image.label].add(image.patient)
    rows = [(*place, count, len(patients[place])) for place, count in sorted(counts.items())]
    out.table(("split", "label", "images", "patients"), rows)


def _say_flags(out: Out, plan: ImportPlan) -> None:
    flags = plan.burned_in
    out.say(
        f"burned-in annotation (0028,0301): YES in {flags['YES']:,} images, NO in {flags['NO']:,}, "
        f"missing in {flags['missing']:,}"
    )
    out.say("a NO or a missing flag proves nothing: look for text in the pixels; none is removed here")
    out.say("research use, not a medical device")


def _failed(result: ImportResult) -> set[str]:
    return {problem.path for problem in result.problems if problem.severity == "error"}


def _summary(plan: ImportPlan, result: ImportResult) -> dict[str, object]:
    return {
        "files": plan.files,
        "planned": len(plan.images),
        "written": len(result.written),
        "kept": len(result.kept),
        "failed": len(_failed(result)),
        "patients": len({image.patient for image in plan.images}),
        "burned_in": {flag: plan.burned_in[flag] for flag in ("YES", "NO", "missing")},
        "problems": [asdict(problem) for problem in result.problems],
    }


def _fail_on_errors(result: ImportResult) -> None:
    failed = _failed(result)
    if failed:
        files = "1 file was" if len(failed) == 1 else f"{len(failed):,} files were"
        raise CheckFailed(
            f"{files} not taken, first: {min(failed)}",
            hint="see the errors above (--json has all of them, with rules); the other files are done",
        )
