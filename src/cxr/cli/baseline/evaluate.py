"""`cxr baseline evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cxr.about import RESEARCH_USE
from cxr.cli.baseline.common import CacheDir, Images, beside, check_judged_split
from cxr.cli.options import DEFAULT_MANIFEST, Json, ManifestPath, Quiet
from cxr.cli.out import Out

if TYPE_CHECKING:
    from cxr.bundle import Bundle
    from cxr.compare.evaluation.nouns import Evaluation
    from cxr.manifests.manifest import Manifest
    from cxr.progress import Progress


def evaluate_command(
    bundle_folder: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A folder with bundle.json.")],
    manifest_path: ManifestPath = DEFAULT_MANIFEST,
    split: Annotated[str, typer.Option("--split", help="test or validation.")] = "test",
    out_folder: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the report [default: BUNDLE-evaluation].")
    ] = None,
    sensitivity: Annotated[
        float | None,
        typer.Option("--sensitivity", help="New threshold: the largest that finds this share on validation."),
    ] = None,
    recalibrate: Annotated[
        bool, typer.Option("--recalibrate", help="New temperature, and threshold, from the validation split.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Judge with the new threshold and temperature, keep the bundle as it is.")
    ] = False,
    images: Images = None,
    cache: CacheDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Judge a bundle on a split of its manifest: measures with intervals, class by class, etiologies, calibration.

    The bundle's own threshold and temperature are used. --sensitivity and --recalibrate choose new ones on the
    validation split and write them into bundle.json (its hash changes). The report (evaluation.html, evaluation.json,
    predictions.csv, pictures) lies beside the bundle. Research use, not a medical device.

    Example: cxr baseline evaluate runs/cnn5 --manifest manifest.csv
    """
    from cxr.bundle import read_bundle
    from cxr.compare.evaluation.decision import check_sensitivity, clean_choice_note
    from cxr.compare.evaluation.judge import evaluate
    from cxr.compare.evaluation.page import check_place, write_evaluation
    from cxr.manifests.manifest_file import read_manifest
    from cxr.manifests.tasks import view_for
    from cxr.settings import load_settings

    out = Out(as_json, quiet)
    check_judged_split(split)
    bundle = read_bundle(bundle_folder)
    check_sensitivity(sensitivity, bundle)
    folder = out_folder or beside(bundle_folder, "evaluation")
    check_place(folder)
    manifest = view_for(read_manifest(manifest_path), bundle.info.classes)
    cache_dir = cache or load_settings().state_dir / "cache"
    before = bundle.hash
    with out.progress("evaluate") as advance:
        if sensitivity is not None or recalibrate:
            if note := clean_choice_note(bundle):
                out.warn(note)
            bundle = _decided(bundle, manifest, sensitivity, recalibrate, dry_run, images, cache_dir, advance)
        evaluation = evaluate(bundle, manifest, split=split, images=images, cache_dir=cache_dir, on_progress=advance)
    report = write_evaluation(evaluation, folder)
    _print_evaluation(out, evaluation)
    _print_change(out, bundle, before, dry_run)
    _print_result(out, evaluation, before, report, dry_run)
    flag = "" if manifest_path == DEFAULT_MANIFEST else f" --manifest {manifest_path}"
    out.say(f"report: {report}. {RESEARCH_USE}.")
    out.hint(f"cxr compare {bundle.folder}{flag}")


def _decided(
    bundle: Bundle,
    manifest: Manifest,
    sensitivity: float | None,
    recalibrate: bool,
    dry_run: bool,
    images: str | None,
    cache_dir: Path,
    advance: Progress,
) -> Bundle:
    from cxr.bundle import with_decision
    from cxr.compare.evaluation.decision import choose_decision

    decision = choose_decision(
        bundle,
        manifest,
        sensitivity=sensitivity,
        recalibrate=recalibrate,
        images=images,
        cache_dir=cache_dir,
        on_progress=advance,
    )
    return with_decision(bundle, decision.threshold, decision.calibration, keep_file=dry_run)


def _print_evaluation(out: Out, evaluation: Evaluation) -> None:
    from cxr.compare.evaluation import words

    table = [
        (words.TITLES[name], *(words.four(value) for value in (estimate.value, estimate.low, estimate.high)))
        for name, estimate in evaluation.metrics.items()
    ]
    table.append(("calibration error", words.four(evaluation.calibrated.calibration_error), "", ""))
    title = f"{evaluation.bundle.info.name} on {evaluation.split}, {evaluation.positive_class} is positive"
    out.table((title, "value", "95 % low", "high"), table)
    out.text("")
    reports = [
        (one.label, *(words.four(part.value) for part in (one.precision, one.recall, one.f1, one.auc)), one.support)
        for one in evaluation.reports
    ]
    out.table(("class", "precision", "recall", "F1", "AUC", "images"), reports)
    out.text("")
    counts = [
        (f"truly {name}", *map(int, line)) for name, line in zip(evaluation.classes, evaluation.confusion, strict=True)
    ]
    out.table(("", *(f"called {name}" for name in evaluation.classes)), counts)
    if evaluation.etiologies:
        out.text("")
        kinds = [
            (kind.label, kind.etiology or "not told", words.interval(kind.recall), kind.images)
            for kind in evaluation.etiologies
        ]
        out.table(("label", "etiology", "recall", "images"), kinds)
    _print_points(out, evaluation)
    out.say(words.decision(evaluation))
    for note in evaluation.notes:
        out.say(f"note: {note}")
    out.say(f"{evaluation.images:,} images of {evaluation.patients:,} patients; intervals resample patients")


def _print_points(out: Out, evaluation: Evaluation) -> None:
    from cxr.compare.evaluation import words

    if not evaluation.shifts:
        return
    rows = [
        (
            words.TITLES[shift.measure],
            *(words.interval(point.measures[shift.measure]) for point in evaluation.points),
            words.difference(shift),
        )
        for shift in evaluation.shifts
    ]
    out.text("")
    out.table(("at the threshold", *(point.split for point in evaluation.points), "difference"), rows)
    out.say(words.shift_note(evaluation))


def _print_change(out: Out, bundle: Bundle, before: str, dry_run: bool) -> None:
    from cxr.compare.ruler import short

    if bundle.hash == before:
        return
    if dry_run:
        out.say(f"{bundle.folder} was left as it was (--dry-run)")
    else:
        out.say(f"{bundle.folder}/bundle.json was written anew: the bundle {short(before)} is {short(bundle.hash)} now")


def _print_result(out: Out, evaluation: Evaluation, before: str, report: Path, dry_run: bool) -> None:
    from cxr.compare.evaluation.document import evaluation_document

    payload: dict[str, Any] = {
        **evaluation_document(evaluation),
        "report": str(report),
        "bundle_changed": evaluation.bundle.hash != before and not dry_run,
    }
    out.result("baseline.evaluate", payload)
