"""Reliability diagrams: what a probability is worth."""

from __future__ import annotations

import numpy as np

from cxr.compare.metrics.probabilities import reliability, stated
from cxr.compare.nouns import Row
from cxr.compare.report.drawing import DIAGONAL, Plot, colour_of, framed, label_axes, unit_square
from cxr.compare.report.svg import MUTED, inline_svg
from cxr.compare.report.words import decimal
from cxr.compare.statistics.intervals import proportion
from cxr.compare.statistics.measures import Scored

SIDE_INCHES = 3.3


def calibration_plot(row: Row, cases: Scored, position: int, positive_class: str) -> Plot:
    """One model's stated probabilities against the share that came true; a dot is as large as its bin is full,
    the bars are Wilson's 95 % intervals."""
    probability, came_true = stated(cases.probabilities, cases.truth, cases.positive)
    bins = reliability(probability, np.asarray(came_true, dtype=np.bool_))
    x = [each.mean_probability for each in bins]
    y = [each.share_true for each in bins]
    full = np.array([each.cases for each in bins], dtype=np.float64)
    figure, axes = framed(SIDE_INCHES, SIDE_INCHES)
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=DIAGONAL)
    for each in bins:
        sure = proportion(round(each.share_true * each.cases), each.cases)
        if sure is not None:
            place = [each.mean_probability] * 2
            axes.plot(place, list(sure.wilson), color=colour_of(position), linewidth=2.2, alpha=0.35)
    sizes = 14 + 150 * np.sqrt(full / full.max())
    axes.scatter(x, y, s=sizes, color=colour_of(position), alpha=0.75, zorder=4, clip_on=False)
    unit_square(axes)
    whose = positive_class if cases.is_binary else "the called class"
    label_axes(axes, f"Stated probability of {whose}", "Share that came true")
    error = f"calibration error {decimal(row.metrics['calibration_error'].value)}"
    said = "; ".join(
        f"stated {each.mean_probability:.2f}, came true {each.share_true:.2f} of {each.cases:,} images" for each in bins
    )
    return Plot(
        row.name, inline_svg(figure, name=f"calibration-{position}", description=f"{row.name}: {error}. {said}")
    )
