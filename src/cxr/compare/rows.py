"""Judging: from one model's predictions (or from a floor) to its row, with intervals."""

from __future__ import annotations

from collections.abc import Mapping

from cxr.bundle import Bundle, ModelFormat, Origin
from cxr.compare.floors import Floor
from cxr.compare.metrics.confusion import DECIDED, confusion_matrix, predicted_classes, roc_curve
from cxr.compare.nouns import ClassReport, Estimate, JudgedPoint, PointName, Row, RowKind
from cxr.compare.predictions.table import Predictions
from cxr.compare.statistics.intervals import proportions
from cxr.compare.statistics.measures import HALF, HALF_THRESHOLD, ORACLE, WHOLE, Measured, Scored
from cxr.compare.titles import STAND_IN

TRAINED_BY: Mapping[Origin, str] = {
    Origin.BASELINE: "local baseline",
    Origin.CUSTOM_JOB: "custom job",
    Origin.AUTOML: "AutoML",
    Origin.IMPORTED: "imported",
}
#: The measures that depend on the threshold.
AT_A_POINT = (*DECIDED, "ppv_at_prevalence", "npv_at_prevalence")


def model_row(bundle: Bundle, predictions: Predictions, cases: Scored, measured: Measured, *, name: str) -> Row:
    """One model's row: judged at the threshold that travels in its bundle; nothing is chosen on the test split."""
    return Row(
        name=name,
        kind=RowKind.MODEL,
        trained_by=trained_by(bundle),
        metrics=_at(measured, WHOLE),
        confusion=confusion_matrix(cases.truth, cases.called, len(cases.classes)),
        roc=roc_curve(cases.is_positive, cases.score),
        stand_in=bundle.info.stand_in,
        threshold=bundle.info.threshold,
        latency_ms=predictions.header.latency_ms,
        latency_includes_decoding=bool(predictions.header.latency_includes_decoding),
        decoding_ms=predictions.header.decoding_ms,
        model_size_bytes=None if bundle.info.format is ModelFormat.PREDICTIONS else bundle.model_size_bytes,
        bundle=bundle,
        predictions=predictions,
        points=_points(cases, measured, bundle.info.threshold.value),
        per_class=class_reports(cases, measured) if not cases.is_binary else (),
        kinds={kind: measured.estimate("recall", kind) for kind in sorted(set(cases.kinds))},
    )


def floor_row(floor: Floor, cases: Scored, measured: Measured) -> Row:
    """A floor's row."""
    return Row(
        name=floor.name,
        kind=RowKind.FLOOR,
        trained_by=f"floor: {floor.learned}",
        metrics=_at(measured, WHOLE),
        confusion=confusion_matrix(cases.truth, cases.called, len(cases.classes)),
        roc=roc_curve(cases.is_positive, cases.score),
        per_class=class_reports(cases, measured) if not cases.is_binary else (),
    )


def class_reports(cases: Scored, measured: Measured) -> tuple[ClassReport, ...]:
    """Each class against the rest."""
    measures = ("precision", "recall", "f1", "auc", "average_precision")
    return tuple(
        ClassReport(
            name,
            int((cases.truth == number).sum()),
            **{measure: measured.estimate(measure, name) for measure in measures},
        )
        for number, name in enumerate(cases.classes)
    )


def trained_by(bundle: Bundle) -> str:
    """Who trained it; a stand-in for the real service is always called one."""
    who = TRAINED_BY[bundle.info.origin]
    return f"{who} {STAND_IN}" if bundle.info.stand_in else who


def _at(measured: Measured, point: str) -> dict[str, Estimate]:
    return {name: measured.estimate(name, point) for name in measured.names(point)}


def _points(cases: Scored, measured: Measured, own_threshold: float) -> tuple[JudgedPoint, ...]:
    """The shipped point, and where a threshold decides one half and, if asked for, the test's own."""
    count = len(cases.classes)
    decided = {name: measured.estimate(name) for name in measured.names(WHOLE) if name in AT_A_POINT}
    matrix = confusion_matrix(cases.truth, cases.called, count)
    shipped = JudgedPoint(
        PointName.SHIPPED, own_threshold if cases.is_binary else None, decided, proportions(matrix, cases.positive)
    )
    others = {HALF: (PointName.HALF, HALF_THRESHOLD), ORACLE: (PointName.ORACLE, measured.oracle_threshold)}
    made = [shipped]
    for point, (name, threshold) in others.items():
        if not cases.is_binary or threshold is None:
            continue
        called = predicted_classes(cases.probabilities, cases.positive, threshold)
        matrix = confusion_matrix(cases.truth, called, count)
        made.append(JudgedPoint(name, threshold, _at(measured, point), proportions(matrix, cases.positive)))
    return tuple(made)
