"""`cxr data import-dicom`: DICOM in, grey PNG without a patient's name out."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.about import RESEARCH_USE
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
    Messages and --json carry the paths of the source, which may hold names: mind where they go.
    A second run goes on where the first stopped. Exit code 5 when some file could not be taken, when none was, and
    when OUT has pictures that no file stands behind any more.
    Research use, not a medical device.

    Example: cxr data import-dicom hospital-export --out xrays
    """
    from cxr.manifests.dicom import ImportOptions, check_places, dropped_tags_beside, plan_import, read_record
    from cxr.settings import load_settings

    out = Out(as_json, quiet)
    salt_path = salt_file or load_settings().state_dir / "dicom-salt"
    table = dropped_tags or dropped_tags_beside(out_path)
    check_places(folder, out_path, salt_path, table)
    names = _pseudonyms(out, out_path, salt_path, is_default=salt_file is None, dry_run=dry_run)
    read_record(out_path, names)  # refuses another salt before any work is done
    with out.progress("headers") as advance:
        plan = plan_import(folder, names, ImportOptions(any_modality, allow_burned_in), on_progress=advance)
    result = _foreseen(plan, out_path) if dry_run else _carried_out(out, plan, out_path, table)
    _report(out, plan, result, {"out": str(out_path), "salt_file": str(salt_path)}, None if dry_run else table)
    _fail_on_errors(plan, result, dry_run=dry_run)
    if not dry_run:
        out.hint(f"cxr data scan {out_path} --patient-key folder")


def _pseudonyms(out: Out, out_path: Path, path: Path, *, is_default: bool, dry_run: bool) -> Pseudonyms:
    """The names made with the salt in a file. A dry run makes no salt."""
    from cxr.manifests.dicom import Pseudonyms, has_pictures, is_open_to_others, keep_out_of_git, read_or_make_salt

    if path.exists():
        salt, _ = read_or_make_salt(path)
        if is_open_to_others(path):
            out.warn(f"others than you may read the salt {path}, which leads from keys to patients: chmod 600 {path}")
        return Pseudonyms(salt)
    if has_pictures(out_path):
        raise UsageError(
            f"{out_path} has images of an earlier import, but there is no salt at {path}: "
            "with a new one the same patients would get other keys",
            hint="name the earlier salt, --salt-file FILE, or another --out",
        )
    if dry_run:
        return Pseudonyms(b"")
    if is_default and path.parent.name == ".cxr":  # not into a folder that has other things as well
        keep_out_of_git(path.parent)
    salt, made = read_or_make_salt(path)
    if made:
        out.say(f"made a salt: {path}. Keep it secret and keep it: with it keys lead back to patients, and")
        out.say("without it a later import gives the same patients other keys")
    return Pseudonyms(salt)


def _foreseen(plan: ImportPlan, out_path: Path) -> ImportResult:
    from cxr.manifests.dicom import ImportResult, sorted_problems, stale_pictures

    return ImportResult((), (), sorted_problems([*plan.problems, *stale_pictures(out_path, plan.images)]))


def _carried_out(out: Out, plan: ImportPlan, out_path: Path, table: Path) -> ImportResult:
    from cxr.manifests.dicom import run_import, write_dropped_tags

    with out.progress("import") as advance:
        result = run_import(plan, out_path, on_progress=advance)
    write_dropped_tags(plan.tags, table)
    return result


def _report(out: Out, plan: ImportPlan, result: ImportResult, places: dict[str, str], table: Path | None) -> None:
    """Say what was done; without a `table`, nothing was."""
    _print_problems(out, result.problems)
    _print_counts(out, [*result.written, *result.kept] if table else plan.images)
    where = {**places, "dropped_tags": str(table) if table else None}
    out.result("data.import-dicom", {**where, "dry_run": table is None, **_summary(plan, result)})
    _say_flags(out, plan)
    if table is None:
        out.say(f"dry run: nothing was written; {len(plan.images):,} of {plan.files:,} DICOM files would be")
    else:
        already = f", {len(result.kept):,} were there already" if result.kept else ""
        written = f"wrote {len(result.written):,} images into {places['out']}{already}"
        out.say(f"{written}; the tags left behind are in {table}")


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
    out.say(RESEARCH_USE.lower())


def _errors(result: ImportResult, *, stale: bool) -> set[str]:
    """The paths of files that were not taken, or of pictures that are stale."""
    errors = (problem for problem in result.problems if problem.severity == "error")
    return {problem.path for problem in errors if (problem.rule == "stale-picture") == stale}


def _summary(plan: ImportPlan, result: ImportResult) -> dict[str, object]:
    return {
        "files": plan.files,
        "planned": len(plan.images),
        "written": len(result.written),
        "kept": len(result.kept),
        "failed": len(_errors(result, stale=False)),
        "stale": len(_errors(result, stale=True)),
        "patients": len({image.patient for image in plan.images}),
        "burned_in": {flag: plan.burned_in[flag] for flag in ("YES", "NO", "missing")},
        "problems": [asdict(problem) for problem in result.problems],
    }


def _fail_on_errors(plan: ImportPlan, result: ImportResult, *, dry_run: bool) -> None:
    failed, stale = _errors(result, stale=False), _errors(result, stale=True)
    found = []
    if not (plan.images if dry_run else [*result.written, *result.kept]):
        found.append(f"none of {plan.files:,} DICOM files {'would be' if dry_run else 'was'} taken")
    elif failed:
        files = "1 file was" if len(failed) == 1 else f"{len(failed):,} files were"
        found.append(f"{files} not taken, first: {min(failed)}")
    if stale:
        pictures = "1 picture in OUT is" if len(stale) == 1 else f"{len(stale):,} pictures in OUT are"
        found.append(f"{pictures} of no file taken now, first: {min(stale)}")
    if found:
        raise CheckFailed(
            "; ".join(found),
            hint="see the problems above (--json has all of them, with rules); what could be taken is done",
        )
