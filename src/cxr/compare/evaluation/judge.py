"""From a bundle and a manifest to its evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from cxr.bundle import Bundle
from cxr.compare.evaluation.nouns import (
    Calibratedness,
    EtiologyRecall,
    Evaluation,
    Shift,
    SplitPoint,
)
from cxr.compare.metrics.confusion import Floats, confusion_matrix, roc_curve
from cxr.compare.metrics.probabilities import (
    calibration_error,
    log_losses,
    precision_recall_curve,
    reliability,
    squared_errors,
    stated,
)
from cxr.compare.nouns import Draws, Estimate
from cxr.compare.predictions.table import Predictions, predict
from cxr.compare.rows import class_reports
from cxr.compare.ruler import check_ruler, check_split
from cxr.compare.statistics.bootstrap import DRAWS, SEED, percentile_interval
from cxr.compare.statistics.measures import WHOLE, Measured, Scored, measured, scored
from cxr.errors import InputError
from cxr.local_baseline.judging.calibration import calibrated
from cxr.manifests.manifest import Manifest
from cxr.progress import Progress

VALIDATION = "validation"
DECIDED = ("accuracy", "balanced_accuracy", "sensitivity", "specificity")
PROBABILITY = ("auc", "average_precision", "brier", "log_loss")
MACRO = ("macro_auc", "macro_average_precision", "macro_f1")
#: What the splits' operating points are compared by.
BINARY_POINT = ("sensitivity", "specificity", "accuracy")
MANY_CLASSES_POINT = ("accuracy", "balanced_accuracy", "macro_f1")


def evaluate(
    bundle: Bundle,
    manifest: Manifest,
    *,
    split: str = "test",
    images: str | None = None,
    cache_dir: Path,
    on_progress: Progress,
    draws: Draws | None = None,
) -> Evaluation:
    """Judge `bundle` on one split of its manifest, at its own temperature and threshold, with 95 % intervals that
    resample patients; and beside it what the same threshold gives on the validation split.

    Raises what `check_ruler` and `predict` raise. A validation split that cannot be scored is a note, no error.
    """
    check_ruler([bundle], manifest, split)
    how = draws or Draws(DRAWS, SEED)

    def scored_split(name: str) -> tuple[Predictions, Scored]:
        made = predict(bundle, manifest, images=images, cache_dir=cache_dir, split=name, on_progress=on_progress)
        probabilities = made.probabilities(manifest.classes)
        info = bundle.info
        return made, scored(probabilities, manifest, name, info.positive_class, info.threshold.value)

    predictions, cases = scored_split(split)
    result = measured(cases, how)
    here = _point(split, cases, result)
    points, shifts, notes = (
        ((here,), (), ())
        if split == VALIDATION
        else _beside_validation(manifest, here, result, lambda: scored_split(VALIDATION)[1], how)
    )
    is_positive, score = cases.is_positive, cases.probabilities[:, cases.positive]
    return Evaluation(
        bundle=bundle,
        manifest=manifest,
        split=split,
        images=len(cases.truth),
        patients=len(set(cases.patients)),
        classes=cases.classes,
        positive_class=bundle.info.positive_class,
        metrics=_metrics(cases, result),
        reports=class_reports(cases, result),
        etiologies=_etiologies(cases, result),
        confusion=confusion_matrix(cases.truth, cases.called, len(cases.classes)),
        roc=roc_curve(is_positive, score),
        precision_recall=precision_recall_curve(is_positive, score),
        calibrated=_calibratedness(cases, cases.probabilities),
        uncalibrated=_uncalibrated(bundle, cases),
        points=points,
        shifts=shifts,
        predictions=predictions,
        draws=how,
        created=datetime.now(UTC),
        notes=notes,
    )


def _beside_validation(
    manifest: Manifest, here: SplitPoint, result: Measured, validation: Callable[[], Scored], draws: Draws
) -> tuple[tuple[SplitPoint, ...], tuple[Shift, ...], tuple[str, ...]]:
    """The validation split's point before the judged split's, what moved between them, and notes."""
    try:
        check_split(manifest, VALIDATION)
        earlier = validation()
    except InputError as error:
        return (here,), (), (f"no operating point on the validation split: {error.message}",)
    # Another seed: the two splits share no patients, and so no draws.
    before = measured(earlier, Draws(draws.count, draws.seed + 1))
    return (_point(VALIDATION, earlier, before), here), _shifts(before, result, tuple(here.measures)), ()


def _metrics(cases: Scored, result: Measured) -> Mapping[str, Estimate]:
    names = DECIDED + PROBABILITY + (MACRO if len(cases.classes) > 2 else ())
    return {name: result.estimate(name) for name in names}


def _etiologies(cases: Scored, result: Measured) -> tuple[EtiologyRecall, ...]:
    """Recall by etiology of the labels that have any."""
    kinds = sorted(set(cases.kinds))
    told = {kind.rpartition("/")[0] for kind in kinds if not kind.endswith("/")}
    return tuple(
        EtiologyRecall(label, etiology, cases.kinds.count(kind), result.estimate("recall", kind))
        for kind in kinds
        for label, _, etiology in [kind.rpartition("/")]
        if label in told
    )


def _point(split: str, cases: Scored, result: Measured) -> SplitPoint:
    names = BINARY_POINT if len(cases.classes) == 2 else MANY_CLASSES_POINT
    measures = {name: result.estimate(name) for name in names}
    return SplitPoint(split, len(cases.truth), len(set(cases.patients)), measures)


def _shifts(before: Measured, after: Measured, names: tuple[str, ...]) -> tuple[Shift, ...]:
    made = []
    for name in names:
        key = (name, WHOLE)
        interval = percentile_interval(after.draws[key] - before.draws[key])
        difference = Estimate(after.values[key] - before.values[key], interval.low, interval.high)
        made.append(Shift(name, difference, is_marked=interval.low > 0 or interval.high < 0))
    return tuple(made)


def _uncalibrated(bundle: Bundle, cases: Scored) -> Calibratedness | None:
    """What the model said before its scores were divided: they are multiplied again."""
    calibration = bundle.info.calibration
    if calibration is None:
        return None
    undone = replace(calibration, temperature=1 / calibration.temperature)
    return _calibratedness(cases, calibrated(cases.probabilities, undone))


def _calibratedness(cases: Scored, probabilities: Floats) -> Calibratedness:
    bins = reliability(*stated(probabilities, cases.truth, cases.positive))
    return Calibratedness(
        brier=float(squared_errors(probabilities, cases.truth).mean()),
        log_loss=float(log_losses(probabilities, cases.truth).mean()),
        calibration_error=calibration_error(bins),
        bins=bins,
    )
