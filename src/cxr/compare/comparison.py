"""The comparison: any bundles, one manifest, one table."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from cxr.bundle import Bundle, ModelFormat
from cxr.compare.context import with_context
from cxr.compare.floors import FLOOR_NAMES, Floors, lay_floors
from cxr.compare.mistakes import mistakes_of
from cxr.compare.nouns import Comparison, Draws, Provenance, Row, predictions_folder
from cxr.compare.overlap import overlap_with
from cxr.compare.predictions.scoring import try_models
from cxr.compare.predictions.table import Predictions, cached_predictions, predict, write_predictions
from cxr.compare.predictions.versions import installed_versions, machine
from cxr.compare.question import Question, check_question, reference_model
from cxr.compare.report import check_report_packages
from cxr.compare.results.writing import write_all
from cxr.compare.rows import floor_row, model_row
from cxr.compare.ruler import check_ruler
from cxr.compare.statistics.against_reference import ReferenceComparison, against_reference
from cxr.compare.statistics.bootstrap import DRAWS, LEVEL, SEED
from cxr.compare.statistics.measures import Scored, measured_together, scored
from cxr.compare.subgroups.groups import Groups, groups_of
from cxr.compare.testset import describe_test_set
from cxr.errors import NotAllowed, UsageError
from cxr.manifests.manifest import Manifest
from cxr.progress import Progress

__all__ = ["Comparison", "compare"]

SPLIT = "test"


def compare(
    bundles: Sequence[Bundle],
    manifest: Manifest,
    *,
    output: Path,
    images: str | None = None,
    cache_dir: Path,
    on_progress: Progress,
    command: str | None = None,
    draws: int = DRAWS,
    seed: int = SEED,
    question: Question | None = None,
    pictures: bool = True,
) -> Comparison:
    """Score every bundle on the manifest's test split (or take its cached predictions), judge them at their own
    thresholds, with intervals by patient-cluster bootstrap, lay the floors beside them, and write all that
    `write_all` writes, and the predictions, into `output`.

    `images`: folder or gs:// URL that the manifest's paths are relative to (None: the manifest's root). `command` is
    quoted in the report (None: what this process was started with). `question`: the reference and the margin.
    `pictures`: show images of the worst mistakes. Raises what `check_ruler`, `check_question`, `reference_model` and
    `predict` raise, before any scoring where that can be known (every model is tried first), and MissingPackage when
    the report's packages are not installed.
    """
    question = question or Question()
    check_ruler(bundles, manifest, SPLIT)
    check_question(question, len(manifest.classes))
    names = _distinct_names(bundles)
    reference = reference_model(question, bundles, names)
    check_report_packages()
    _make_folder(output)
    made = _predicted(bundles, manifest, output, images, cache_dir, on_progress)
    floors = lay_floors(manifest, SPLIT, images=images, cache_dir=cache_dir, on_progress=on_progress)
    how = Draws(draws, seed)
    groups = groups_of(manifest, SPLIT, bundles[0].info.positive_class)
    rows, against = _judged(bundles, made, names, floors, groups, manifest, how, question, reference, on_progress)
    comparison = Comparison(
        classes=manifest.classes,
        positive_class=bundles[0].info.positive_class,
        test_set=describe_test_set(manifest, SPLIT),
        rows=rows,
        draws=how,
        level=LEVEL,
        provenance=_provenance(command),
        manifest=manifest,
        output=output,
        against=against,
        prevalence=question.prevalence,
        oracle_sensitivity=question.sensitivity,
        overlap=overlap_with(manifest, manifest, SPLIT),
        notes=(*(f"this floor is not laid: {reason}" for reason in floors.left_out), *filter(None, [groups.note])),
        mistakes=mistakes_of(bundles, names, made, manifest, images=images, pictures=pictures, on_progress=on_progress),
    )
    write_all(comparison)
    return comparison


def _predicted(
    bundles: Sequence[Bundle],
    manifest: Manifest,
    output: Path,
    images: str | None,
    cache_dir: Path,
    on_progress: Progress,
) -> list[Predictions]:
    """The predictions of each bundle, in `output` too. What is there already is read, and all models that have to be
    scored are tried, before the first of them is scored (which is loaded right then)."""
    score = partial(
        predict, manifest=manifest, images=images, cache_dir=cache_dir, split=SPLIT, on_progress=on_progress
    )
    there = [
        score(bundle)
        if bundle.info.format is ModelFormat.PREDICTIONS
        else cached_predictions(bundle, manifest, cache_dir=cache_dir, split=SPLIT)
        for bundle in bundles
    ]
    try_models([bundle for bundle, found in zip(bundles, there, strict=True) if found is None][1:], on_progress)
    made = []
    for bundle, found in zip(bundles, there, strict=True):
        predictions = found or score(bundle)
        made.append(write_predictions(predictions, predictions_folder(output, bundle.hash)))
    return made


def _judged(
    bundles: Sequence[Bundle],
    made: Sequence[Predictions],
    names: Sequence[str],
    floors: Floors,
    groups: Groups,
    manifest: Manifest,
    draws: Draws,
    question: Question,
    reference: tuple[int, str],
    on_progress: Progress,
) -> tuple[tuple[Row, ...], ReferenceComparison | None]:
    """The models' rows with their context, the floors' rows, and what the models are worth beside the reference."""
    cases = [_cases(bundle, predictions, manifest) for bundle, predictions in zip(bundles, made, strict=True)]
    positive_class = bundles[0].info.positive_class
    floor_cases = [
        scored(floor.probabilities, manifest, SPLIT, positive_class, floor.threshold) for floor in floors.laid
    ]
    judged = measured_together(
        [*cases, *floor_cases],
        draws,
        question.asked,
        lambda done, total: on_progress(done, total, "resampling patients"),
    )
    own, of_floors = judged[: len(cases)], judged[len(cases) :]
    floor_rows = [floor_row(*each) for each in zip(floors.laid, floor_cases, of_floors, strict=True)]
    rows = []
    for number, (bundle, name) in enumerate(zip(bundles, names, strict=True)):
        on_progress(number, len(bundles), f"subgroups of {name}")
        row = model_row(bundle, made[number], cases[number], own[number], name=name)
        rows.append(with_context(row, cases[number], floor_rows, groups.made, draws))
    against = None
    if len(bundles) > 1:
        which, reason = reference
        against = against_reference(
            names,
            cases,
            own,
            reference=which,
            reason=reason,
            measure=question.measure,
            margin=question.margin,
            stand_in=bundles[which].info.stand_in,
        )
    return (*rows, *floor_rows), against


def _cases(bundle: Bundle, predictions: Predictions, manifest: Manifest) -> Scored:
    info = bundle.info
    probabilities = predictions.probabilities(manifest.classes)
    return scored(probabilities, manifest, SPLIT, info.positive_class, info.threshold.value)


def _make_folder(output: Path) -> None:
    """Make the output folder before the long work, so that a place that cannot be written is not found out after it."""
    try:
        output.mkdir(parents=True, exist_ok=True)
    except PermissionError as error:
        raise NotAllowed(
            f"no permission to make the folder {output}", hint="choose another place: --out DIR"
        ) from error
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"{output} is not a folder", hint="choose another place: --out DIR") from error


def _distinct_names(bundles: Sequence[Bundle]) -> list[str]:
    """The bundles' names; those that are not unique, or that a floor has, get their folder's name beside them, and a
    number where that is not unique either."""
    names = [bundle.info.name for bundle in bundles]
    named = [
        f"{name} ({bundle.folder.resolve().name})" if names.count(name) > 1 or name in FLOOR_NAMES else name
        for name, bundle in zip(names, bundles, strict=True)
    ]
    return [
        f"{name} #{named[: index + 1].count(name)}" if named.count(name) > 1 else name
        for index, name in enumerate(named)
    ]


def _provenance(command: str | None) -> Provenance:
    return Provenance(
        command=command or shlex.join(["cxr", *sys.argv[1:]]),
        created=datetime.now(UTC),
        versions=installed_versions(),
        machine=machine(),
    )
