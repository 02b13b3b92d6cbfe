"""How probabilities become a call: the temperature first, then the threshold on the calibrated probability."""

from __future__ import annotations

from dataclasses import dataclass

from cxr.bundle import Calibration, Threshold
from cxr.local_baseline.judging.calibration import ClassNumbers, Probabilities, calibrated, fit_temperature
from cxr.local_baseline.judging.threshold import sensitivity_threshold, youden_threshold


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """Temperature (None: the probabilities as they are) and threshold of a bundle."""

    calibration: Calibration | None
    threshold: Threshold


def choose_operating_point(
    probabilities: Probabilities,
    truth: ClassNumbers,
    positive: int,
    chosen_on: str,
    *,
    sensitivity: float | None = None,
) -> OperatingPoint:
    """Fit the temperature, then choose the threshold (see `threshold_for`).

    `probabilities` [N, K] are the model's own, `truth` [N] class numbers, `positive` the thresholded class's number;
    `chosen_on` names the images.
    """
    calibration = fit_temperature(probabilities, truth, chosen_on)
    threshold = threshold_for(probabilities, truth, positive, chosen_on, calibration, sensitivity=sensitivity)
    return OperatingPoint(calibration, threshold)


def threshold_for(
    probabilities: Probabilities,
    truth: ClassNumbers,
    positive: int,
    chosen_on: str,
    calibration: Calibration | None,
    *,
    sensitivity: float | None = None,
) -> Threshold:
    """The threshold on the probabilities as `calibration` makes them: the largest that finds the share `sensitivity`
    or, without one, that of the largest Youden index. Raises UsageError for what is no share."""
    scores, is_positive = calibrated(probabilities, calibration)[:, positive], truth == positive
    if sensitivity is None:
        return youden_threshold(scores, is_positive, chosen_on)
    return sensitivity_threshold(scores, is_positive, sensitivity, chosen_on)
