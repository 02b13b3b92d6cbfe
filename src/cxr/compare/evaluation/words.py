"""An evaluation's numbers in words, for terminal and page."""

from __future__ import annotations

import math

from cxr.compare.evaluation.nouns import Evaluation, Shift
from cxr.compare.nouns import Estimate
from cxr.compare.report.words import UNKNOWN
from cxr.compare.titles import TITLES
from cxr.local_baseline.recipes import ChosenOn

__all__ = ["TITLES", "choice_note", "decision", "difference", "four", "interval", "shift_note"]


def four(value: float) -> str:
    """Four decimals."""
    return UNKNOWN if math.isnan(value) else f"{value:.4f}"


def interval(estimate: Estimate) -> str:
    """0.9123 (0.8801–0.9402)."""
    return f"{four(estimate.value)} ({four(estimate.low)}–{four(estimate.high)})"


def difference(shift: Shift) -> str:
    """+0.0123 (-0.0101 to +0.0402), with a mark where 0 lies outside."""
    value, low, high = (
        UNKNOWN if math.isnan(number) else f"{number:+.4f}"
        for number in (shift.difference.value, shift.difference.low, shift.difference.high)
    )
    return f"{value} ({low} to {high})" + (" *" if shift.is_marked else "")


def decision(evaluation: Evaluation) -> str:
    """How a probability becomes a call, in one sentence."""
    info = evaluation.bundle.info
    if info.calibration is None:
        said = "Probabilities are the model's own (no calibration)"
    else:
        said = (
            f"Probabilities are calibrated: temperature {info.calibration.temperature:.3f}, "
            f"{info.calibration.chosen_by} on {info.calibration.chosen_on}"
        )
    if not evaluation.is_binary:
        return f"{said}; the most probable class is called."
    threshold = info.threshold
    return (
        f"{said}; {evaluation.positive_class} is called from {threshold.value:.4f} on "
        f"({threshold.chosen_by}, chosen on {threshold.chosen_on})."
    )


def choice_note(evaluation: Evaluation) -> str:
    """Why figures on validation may be too good: what was chosen there. Empty where nothing was, or nobody said."""
    chosen_on = evaluation.bundle.info.threshold.chosen_on
    if not evaluation.is_binary or chosen_on not in set(ChosenOn):
        return ""
    images = "validation" if chosen_on == ChosenOn.VALIDATION else "the validation images and corrupted copies of them"
    return f"The threshold was chosen on {images}, so that its figures there are a little too good. "


def shift_note(evaluation: Evaluation) -> str:
    """What the marks mean, and whether there are any."""
    marked = [TITLES[shift.measure] for shift in evaluation.shifts if shift.is_marked]
    if not marked:
        return "No difference between the splits is beyond what drawing other patients would give."
    return f"* {', '.join(marked)}: more than drawing other patients would give: the two splits are not alike."
