"""How one model does on corrupted copies of a split's images, at the threshold that it carries.

A validation split from the training's own hospital hardly ranks methods: all do well there. What a model loses when the
same chest is shown otherwise does (`local_baseline.images.corruptions` says what is changed, and how it overlaps with
augmentation).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from cxr.bundle import Bundle, ModelFormat
from cxr.compare.images import split_images
from cxr.compare.metrics.confusion import (
    Floats,
    accuracy,
    confusion_matrix,
    predicted_classes,
    sensitivity,
    specificity,
)
from cxr.compare.metrics.ranking import roc_auc
from cxr.compare.nouns import Draws, Estimate
from cxr.compare.predictors import open_predictor
from cxr.compare.ruler import check_ruler
from cxr.compare.statistics.bootstrap import Cases, bootstrap_draws, percentile_interval
from cxr.errors import InputError
from cxr.files import write_text_atomically
from cxr.local_baseline.images.corruptions import Corruption, corrupted
from cxr.local_baseline.recipes import ChosenOn
from cxr.manifests.manifest import Manifest
from cxr.progress import Progress


@dataclass(frozen=True, slots=True)
class CorruptionScore:
    """One line of the table: all measures in 0..1, the AUC of the positive class against the rest."""

    bundle: str
    corruption: str
    auc: float
    accuracy: float
    sensitivity: float
    specificity: float


@dataclass(frozen=True, slots=True)
class Robustness:
    """One model on one split. `summary` has, with patient-cluster bootstrap intervals, `mean_auc` and `mean_accuracy`
    (each corruption counts alike, the clean images included) and `pooled_auc`: the AUC of all copies in one ranking,
    which is high only if one threshold can serve them all."""

    name: str
    bundle_hash: str
    split: str
    images: int
    threshold: float
    scores: tuple[CorruptionScore, ...]
    summary: Mapping[str, Estimate]


def robustness(
    bundles: Sequence[Bundle],
    manifest: Manifest,
    corruptions: Sequence[Corruption],
    *,
    split: str,
    images: str | None,
    cache_dir: Path,
    draws: Draws,
    on_progress: Progress,
) -> tuple[Robustness, ...]:
    """Score every bundle on every corruption of the split's images.

    Raises what `check_ruler` does, and InputError for a bundle of predictions, which can score no changed image.
    """
    check_ruler(bundles, manifest, split)
    return tuple(
        _of_bundle(bundle, manifest, corruptions, split, images, cache_dir, draws, on_progress) for bundle in bundles
    )


def tuned_note(bundle: Bundle, split: str) -> str:
    """What is unfair about a bundle whose threshold was chosen on these very corrupted images; else empty."""
    if split != "validation" or bundle.info.threshold.chosen_on != ChosenOn.CORRUPTED_VALIDATION:
        return ""
    return (
        f"{bundle.info.name}'s threshold was chosen on these very corrupted images: its accuracy, sensitivity and "
        "specificity do not rank it against thresholds chosen on clean ones (AUCs do)"
    )


def robustness_csv(results: Sequence[Robustness], path: Path) -> None:
    """Write one line for each bundle and corruption, as CSV."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [field.name for field in fields(CorruptionScore)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(score) for result in results for score in result.scores)
    write_text_atomically(path, stream.getvalue())


def _of_bundle(
    bundle: Bundle,
    manifest: Manifest,
    corruptions: Sequence[Corruption],
    split: str,
    images: str | None,
    cache_dir: Path,
    draws: Draws,
    on_progress: Progress,
) -> Robustness:
    if bundle.info.format is ModelFormat.PREDICTIONS:
        raise InputError(f"{bundle.folder} holds predictions and no model: it cannot score corrupted images")
    rows = manifest.split(split)
    contract = bundle.info.preprocessing
    pixels = split_images(manifest, split, contract, images=images, cache_dir=cache_dir, on_progress=on_progress)
    predictor = open_predictor(bundle)
    total = len(pixels) * len(corruptions)
    cases: list[Cases] = []
    for number, corruption in enumerate(corruptions):
        parts: list[Floats] = []
        for batch in corrupted(pixels.array, np.asarray(pixels.rows, np.int64), corruption):
            parts.append(predictor.predict(batch))
            done = number * len(pixels) + sum(map(len, parts))
            on_progress(done, total, f"{bundle.info.name} on {corruption.name}")
        cases.append(_cases(bundle, np.concatenate(parts), rows["label"].tolist(), rows["patient"].tolist()))
    scores = tuple(_score(bundle, corruption, case) for corruption, case in zip(corruptions, cases, strict=True))
    return Robustness(
        name=bundle.info.name,
        bundle_hash=bundle.hash,
        split=split,
        images=len(pixels),
        threshold=bundle.info.threshold.value,
        scores=scores,
        summary=_summary(scores, cases, draws),
    )


def _cases(bundle: Bundle, probabilities: Floats, labels: Sequence[str], patients: Sequence[str]) -> Cases:
    classes = bundle.info.classes
    positive = classes.index(bundle.info.positive_class)
    return Cases(
        truth=np.array([classes.index(label) for label in labels], dtype=np.int64),
        predicted=predicted_classes(probabilities, positive, bundle.info.threshold.value),
        score=probabilities[:, positive],
        patients=patients,
        classes=len(classes),
        positive=positive,
    )


def _score(bundle: Bundle, corruption: Corruption, cases: Cases) -> CorruptionScore:
    matrix = confusion_matrix(cases.truth, cases.predicted, cases.classes)
    return CorruptionScore(
        bundle=bundle.info.name,
        corruption=corruption.name,
        auc=float(roc_auc(cases.is_positive, cases.score)),
        accuracy=float(accuracy(matrix)),
        sensitivity=float(sensitivity(matrix, cases.positive)),
        specificity=float(specificity(matrix, cases.positive)),
    )


def _summary(scores: Sequence[CorruptionScore], cases: Sequence[Cases], draws: Draws) -> dict[str, Estimate]:
    # The draws depend on the patients only: draw 7 has the same patients under every corruption.
    drawn = [bootstrap_draws(case, draws=draws.count, seed=draws.seed) for case in cases]
    pooled = _pooled(cases)
    values = {
        "mean_auc": (np.mean([score.auc for score in scores]), np.mean([each["auc"] for each in drawn], axis=0)),
        "mean_accuracy": (
            np.mean([score.accuracy for score in scores]),
            np.mean([each["accuracy"] for each in drawn], axis=0),
        ),
        "pooled_auc": (
            roc_auc(pooled.is_positive, pooled.score),
            bootstrap_draws(pooled, draws=draws.count, seed=draws.seed)["auc"],
        ),
    }
    estimates = {}
    for name, (value, of_draws) in values.items():
        interval = percentile_interval(np.asarray(of_draws, dtype=np.float64))
        estimates[name] = Estimate(float(value), interval.low, interval.high)
    return estimates


def _pooled(cases: Sequence[Cases]) -> Cases:
    """All copies in one set: a patient's copies stay together."""
    return Cases(
        truth=np.concatenate([case.truth for case in cases]),
        predicted=np.concatenate([case.predicted for case in cases]),
        score=np.concatenate([case.score for case in cases]),
        patients=[patient for case in cases for patient in case.patients],
        classes=cases[0].classes,
        positive=cases[0].positive,
    )
