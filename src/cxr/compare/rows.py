"""Judging: from one model's predictions (or from a floor) to its row, with intervals."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cxr.bundle import Bundle, ModelFormat, Origin
from cxr.compare.bootstrap import Cases, bootstrap_draws, percentile_interval
from cxr.compare.metrics import (
    METRICS,
    Floats,
    Ints,
    RocCurve,
    confusion_matrix,
    predicted_classes,
    roc_auc,
    roc_curve,
    threshold_metrics,
)
from cxr.compare.nouns import Draws, Estimate, Row, RowKind
from cxr.compare.predictions import Predictions
from cxr.manifests.manifest import Manifest

TRAINED_BY: Mapping[Origin, str] = {
    Origin.BASELINE: "local baseline",
    Origin.CUSTOM_JOB: "custom job",
    Origin.AUTOML: "AutoML",
    Origin.IMPORTED: "imported",
}
STAND_IN = "(emulator stand-in)"
FLOOR_NAME = "majority class"


def model_row(
    bundle: Bundle, predictions: Predictions, manifest: Manifest, classes: tuple[str, ...], draws: Draws, *, name: str
) -> Row:
    """Judge one model's predictions at the threshold that travels in its bundle; nothing is chosen on the test
    split."""
    positive = classes.index(bundle.info.positive_class)
    metrics, confusion, roc = _judge(
        predictions.probabilities(classes),
        positive,
        bundle.info.threshold.value,
        manifest,
        predictions.header.split,
        draws,
    )
    return Row(
        name=name,
        kind=RowKind.MODEL,
        trained_by=trained_by(bundle),
        metrics=metrics,
        confusion=confusion,
        roc=roc,
        stand_in=bundle.info.stand_in,
        threshold=bundle.info.threshold,
        latency_ms=predictions.header.latency_ms,
        model_size_bytes=None if bundle.info.format is ModelFormat.PREDICTIONS else bundle.model_size_bytes,
        bundle=bundle,
        predictions=predictions,
    )


def majority_row(manifest: Manifest, split: str, classes: tuple[str, ...], positive_class: str, draws: Draws) -> Row:
    """The floor that calls every image the commonest class of the training split (of the judged split when there is
    no other)."""
    learned_from = manifest.split("train")["label"]
    labels = learned_from if len(learned_from) else manifest.split(split)["label"]
    majority = str(labels.value_counts().sort_index().idxmax())
    probabilities = np.zeros((len(manifest.split(split)), len(classes)))
    probabilities[:, classes.index(majority)] = 1.0
    metrics, confusion, roc = _judge(probabilities, classes.index(positive_class), 0.5, manifest, split, draws)
    return Row(
        name=FLOOR_NAME,
        kind=RowKind.FLOOR,
        trained_by=f"nobody: always {majority}",
        metrics=metrics,
        confusion=confusion,
        roc=roc,
    )


def trained_by(bundle: Bundle) -> str:
    """Who trained it; a stand-in for the real service is always called one."""
    who = TRAINED_BY[bundle.info.origin]
    return f"{who} {STAND_IN}" if bundle.info.stand_in else who


def _judge(
    probabilities: Floats, positive: int, threshold: float, manifest: Manifest, split: str, draws: Draws
) -> tuple[dict[str, Estimate], Ints, RocCurve]:
    rows = manifest.split(split)
    classes = manifest.classes
    truth = np.asarray(rows["label"].map({name: index for index, name in enumerate(classes)}), dtype=np.int64)
    cases = Cases(
        truth=truth,
        predicted=predicted_classes(probabilities, positive, threshold),
        score=probabilities[:, positive],
        patients=rows["patient"].tolist(),
        classes=len(classes),
        positive=positive,
    )
    matrix = confusion_matrix(cases.truth, cases.predicted, cases.classes)
    values = {**threshold_metrics(matrix, positive), "auc": roc_auc(cases.is_positive, cases.score)}
    resampled = bootstrap_draws(cases, draws=draws.count, seed=draws.seed)
    intervals = {name: percentile_interval(resampled[name]) for name in METRICS}
    estimates = {name: Estimate(float(values[name]), intervals[name].low, intervals[name].high) for name in METRICS}
    return estimates, matrix, roc_curve(cases.is_positive, cases.score)
