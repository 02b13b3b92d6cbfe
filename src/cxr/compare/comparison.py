"""The comparison: any bundles, one manifest, one table."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cxr.bundle import Bundle
from cxr.compare.bootstrap import DRAWS, LEVEL, SEED
from cxr.compare.nouns import Comparison, Draws, Provenance, Row
from cxr.compare.predictions import Predictions, predict, write_predictions
from cxr.compare.question import Question, check_question, reference_model
from cxr.compare.report import check_report_packages, write_report
from cxr.compare.results import write_results
from cxr.compare.rows import floor_row, majority_cases, model_row
from cxr.compare.ruler import check_ruler
from cxr.compare.statistics.against_reference import ReferenceComparison, against_reference
from cxr.compare.statistics.measures import Measured, Scored, measured_together, scored
from cxr.compare.testset import describe_test_set
from cxr.compare.versions import installed_versions, machine
from cxr.errors import NotAllowed, UsageError
from cxr.local_baseline.images.cache import Progress
from cxr.manifests.manifest import Manifest

__all__ = ["Comparison", "compare"]

PREDICTIONS_FOLDER = "predictions"
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
) -> Comparison:
    """Score every bundle on the manifest's test split (or take its cached predictions), judge them at their own
    thresholds, with intervals by patient-cluster bootstrap, and write report.html, results.json and the predictions
    into `output`.

    `images`: folder or gs:// URL that the manifest's paths are relative to (None: the manifest's root). `command` is
    quoted in the report (None: what this process was started with). `question`: the reference and the margin. Raises
    what `check_ruler`, `check_question`, `reference_model` and `predict` raise, before any scoring where that can be
    known, and MissingPackage when the report's packages are not installed.
    """
    question = question or Question()
    check_ruler(bundles, manifest, SPLIT)
    check_question(question, len(manifest.classes))
    names = _distinct_names(bundles)
    reference, reason = reference_model(question, bundles, names)
    check_report_packages()
    _make_folder(output)
    made: list[Predictions] = []
    for bundle in bundles:
        predictions = predict(
            bundle, manifest, images=images, cache_dir=cache_dir, split=SPLIT, on_progress=on_progress
        )
        made.append(write_predictions(predictions, output / PREDICTIONS_FOLDER / bundle.hash[:16]))
    how = Draws(draws, seed)
    judged = _judge(bundles, made, manifest, question, how, on_progress)
    comparison = Comparison(
        classes=manifest.classes,
        positive_class=bundles[0].info.positive_class,
        test_set=describe_test_set(manifest, SPLIT),
        rows=judged.rows(bundles, made, names),
        draws=how,
        level=LEVEL,
        provenance=_provenance(command),
        manifest=manifest,
        output=output,
        against=judged.against(names, reference, reason, question) if len(bundles) > 1 else None,
        prevalence=question.prevalence,
        oracle_sensitivity=question.sensitivity,
    )
    write_report(comparison, comparison.report_path)
    write_results(comparison, comparison.results_path)
    return comparison


@dataclass(frozen=True)
class _Judged:
    """Every model's cases and measures, and the floor's, over the same draws."""

    cases: Sequence[Scored]
    measured: Sequence[Measured]
    floor: Row

    def rows(self, bundles: Sequence[Bundle], made: Sequence[Predictions], names: Sequence[str]) -> tuple[Row, ...]:
        models = zip(bundles, made, self.cases, self.measured, names, strict=True)
        return (
            *(
                model_row(bundle, predictions, cases, measured, name=name)
                for bundle, predictions, cases, measured, name in models
            ),
            self.floor,
        )

    def against(self, names: Sequence[str], reference: int, reason: str, question: Question) -> ReferenceComparison:
        return against_reference(
            names,
            self.cases,
            self.measured,
            reference=reference,
            reason=reason,
            measure=question.measure,
            margin=question.margin,
        )


def _judge(
    bundles: Sequence[Bundle],
    made: Sequence[Predictions],
    manifest: Manifest,
    question: Question,
    draws: Draws,
    on_progress: Progress,
) -> _Judged:
    cases = [_cases(bundle, predictions, manifest) for bundle, predictions in zip(bundles, made, strict=True)]
    floor, majority = majority_cases(manifest, SPLIT, bundles[0].info.positive_class)

    def on_draws(done: int, total: int) -> None:
        on_progress(done, total, "resampling patients")

    *measured, of_floor = measured_together([*cases, floor], draws, question.asked, on_draws)
    return _Judged(cases, measured, floor_row(floor, of_floor, majority))


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
    """The bundles' names; those that are not unique get their folder's name beside them, and a number where that is
    not either."""
    names = [bundle.info.name for bundle in bundles]
    named = [
        f"{name} ({bundle.folder.resolve().name})" if names.count(name) > 1 else name
        for name, bundle in zip(names, bundles, strict=True)
    ]
    return [
        f"{name} #{named[: index + 1].count(name)}" if named.count(name) > 1 else name
        for index, name in enumerate(named)
    ]


def _provenance(command: str | None) -> Provenance:
    return Provenance(
        command=command or shlex.join(sys.argv),
        created=datetime.now(UTC),
        versions=installed_versions(),
        machine=machine(),
    )
