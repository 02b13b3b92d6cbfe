"""The threshold and the temperature, chosen on the validation split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from cxr.bundle import Bundle
from cxr.compare.predictions.table import predict
from cxr.compare.ruler import check_ruler
from cxr.errors import UsageError
from cxr.local_baseline.judging.operating_point import OperatingPoint, choose_operating_point, threshold_for
from cxr.local_baseline.recipes import ChosenOn
from cxr.manifests.manifest import Manifest
from cxr.progress import Progress

CHOSEN_ON = "validation"


def check_sensitivity(sensitivity: float | None, bundle: Bundle) -> None:
    """Raises UsageError, before anything is scored, for what is no share, and where no threshold decides."""
    if sensitivity is None:
        return
    if not 0 < sensitivity <= 1:
        raise UsageError(
            f"--sensitivity {sensitivity:g}: it takes a share, more than 0 and at most 1", hint="--sensitivity 0.95"
        )
    if len(bundle.info.classes) != 2:
        raise UsageError(
            f"{bundle.folder} tells {len(bundle.info.classes)} classes apart and calls the most probable: "
            "no threshold decides",
            hint="leave --sensitivity out",
        )


def clean_choice_note(bundle: Bundle) -> str:
    """What a new decision leaves behind when the bundle's own was not chosen on the clean validation images; else
    empty."""
    if bundle.info.threshold.chosen_on != ChosenOn.CORRUPTED_VALIDATION:
        return ""
    return (
        f"{bundle.folder}'s threshold was chosen on {ChosenOn.CORRUPTED_VALIDATION}; the new one is chosen on the "
        "clean validation images, and so is the temperature with --recalibrate (without it the old one stays)"
    )


def choose_decision(
    bundle: Bundle,
    manifest: Manifest,
    *,
    sensitivity: float | None,
    recalibrate: bool,
    images: str | None,
    cache_dir: Path,
    on_progress: Progress,
) -> OperatingPoint:
    """Choose on the manifest's validation split: with `recalibrate` the temperature, and in any case the threshold on
    the calibrated probability, the largest that reaches `sensitivity` or, without one, that of the largest Youden
    index. The test split is not looked at.

    Raises RulerMismatch for another manifest, InputError where there is no validation split to score.
    """
    check_ruler([bundle], manifest, CHOSEN_ON)
    if recalibrate and bundle.info.calibration is not None and bundle.info.calibration.inside_model:
        raise UsageError(
            f"the calibration of {bundle.folder} is inside its model", hint="recalibrate the bundle that it came from"
        )
    raw = replace(bundle, info=replace(bundle.info, calibration=None))
    predictions = predict(raw, manifest, images=images, cache_dir=cache_dir, split=CHOSEN_ON, on_progress=on_progress)
    classes, positive = manifest.classes, manifest.classes.index(bundle.info.positive_class)
    truth = np.array([classes.index(label) for label in manifest.split(CHOSEN_ON)["label"]], dtype=np.int64)
    probabilities = predictions.probabilities(classes)
    if recalibrate:
        return choose_operating_point(probabilities, truth, positive, CHOSEN_ON, sensitivity=sensitivity)
    kept = bundle.info.calibration
    applied = None if kept is None or kept.inside_model else kept  # an export's probabilities are calibrated already
    threshold = threshold_for(probabilities, truth, positive, CHOSEN_ON, applied, sensitivity=sensitivity)
    return OperatingPoint(kept, threshold)
