"""ROC and precision-recall curves with their bands and operating points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from cxr.compare.metrics.confusion import Floats
from cxr.compare.metrics.probabilities import PrecisionRecallCurve
from cxr.compare.nouns import Row
from cxr.compare.report.bands import Band, Bands
from cxr.compare.report.drawing import (
    BAND_OPACITY,
    DIAGONAL,
    Plot,
    colour_of,
    described,
    frame,
    framed,
    label_axes,
    line_style,
    operating_mark,
    unit_square,
)
from cxr.compare.report.svg import GRID, MUTED, PANEL, inline_svg
from cxr.compare.report.words import area

SIDE_INCHES = 5.2
#: More corners than this cannot be told apart on paper: a longer curve is thinned for the picture (not for the
#: numbers).
DRAWN_POINTS = 1_500
#: The corner of good models is shown enlarged when all of them reach it.
INSET_FROM = 0.9
INSET_WIDTH = 0.25


def roc_plot(models: Sequence[Row], bands: Sequence[Bands | None], whose: str = "") -> Plot:
    """ROC curves of all models with their operating points, and the upper left corner enlarged where all curves reach
    it. `whose` stands behind the title: of which class the curves are."""
    figure, axes = framed(SIDE_INCHES, SIDE_INCHES)
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=DIAGONAL)
    _rocs(axes, models, bands)
    unit_square(axes)
    label_axes(axes, "1 − specificity (false alarms)", "Sensitivity (found)")
    if min(row.metrics["auc"].value for row in models) >= INSET_FROM:
        inset = _inset(axes, (0.36, 0.08, 0.61, 0.61), "upper left corner, enlarged")
        _rocs(inset, models, bands, scale=0.85)
        inset.set(xlim=(-0.004, INSET_WIDTH), ylim=(1 - INSET_WIDTH, 1.004), aspect="equal")
    said = described([(row, f"AUC {area(row.metrics['auc'])}") for row in models])
    title = f"ROC curves{whose}"
    return Plot(title, inline_svg(figure, name="roc", description=f"{title}. {said}"))


def precision_recall_plot(
    models: Sequence[Row],
    curves: Sequence[PrecisionRecallCurve],
    bands: Sequence[Bands | None],
    share: float,
    whose: str = "",
) -> Plot:
    """Precision-recall curves; the dotted line is the `share` of positive images, which guessing reaches. `whose`
    stands behind the title: of which class the curves are."""
    figure, axes = framed(SIDE_INCHES, SIDE_INCHES)
    axes.plot([0, 1], [share, share], color=MUTED, linewidth=1, linestyle=DIAGONAL)
    _precision_recalls(axes, models, curves, bands)
    unit_square(axes)
    label_axes(axes, "Recall (found)", "Precision (of those called)")
    if min(row.metrics["average_precision"].value for row in models) >= INSET_FROM:
        inset = _inset(axes, (0.1, 0.08, 0.61, 0.61), "upper right corner, enlarged")
        _precision_recalls(inset, models, curves, bands, scale=0.85)
        inset.set(xlim=(1 - INSET_WIDTH, 1.004), ylim=(1 - INSET_WIDTH, 1.004), aspect="equal")
    said = described([(row, f"average precision {area(row.metrics['average_precision'])}") for row in models])
    title = f"Precision and recall{whose}"
    return Plot(title, inline_svg(figure, name="pr", description=f"{title}. {said}"))


def _rocs(axes: Axes, models: Sequence[Row], bands: Sequence[Bands | None], *, scale: float = 1.0) -> None:
    for position, (row, band) in enumerate(zip(models, bands, strict=True)):
        x, y = _thinned(row.roc.false_positive_rate, row.roc.true_positive_rate)
        _band(axes, band.roc if band else None, position)
        axes.plot(x, y, color=colour_of(position), linewidth=1.9 * scale, linestyle=line_style(position))
    for position, row in enumerate(models):
        operating_mark(axes, *row.operating_point, position, scale=scale)


def _precision_recalls(
    axes: Axes,
    models: Sequence[Row],
    curves: Sequence[PrecisionRecallCurve],
    bands: Sequence[Bands | None],
    *,
    scale: float = 1.0,
) -> None:
    for position, (curve, band) in enumerate(zip(curves, bands, strict=True)):
        x, y = _thinned(np.r_[0.0, curve.recall], np.r_[curve.precision[:1], curve.precision])
        _band(axes, band.precision_recall if band else None, position)
        axes.step(x, y, where="pre", color=colour_of(position), linewidth=1.9 * scale, linestyle=line_style(position))
    for position, row in enumerate(models):
        operating_mark(axes, row.metrics["sensitivity"].value, row.metrics["ppv"].value, position, scale=scale)


def _band(axes: Axes, band: Band | None, position: int) -> None:
    if band is not None:
        axes.fill_between(band.x, band.low, band.high, color=colour_of(position), alpha=BAND_OPACITY, linewidth=0)


def _thinned(x: Floats, y: Floats) -> tuple[Any, Any]:
    if len(x) <= DRAWN_POINTS:
        return x, y
    kept = np.unique(np.linspace(0, len(x) - 1, DRAWN_POINTS).astype(np.intp))
    return x[kept], y[kept]


def _inset(axes: Axes, place: tuple[float, float, float, float], title: str) -> Axes:
    inset = axes.inset_axes(place)
    frame(inset)
    inset.set_facecolor(PANEL)
    inset.tick_params(labelsize=8)
    inset.set_title(title, fontsize=8.5, color=MUTED, pad=5, backgroundcolor=PANEL)
    for spine in inset.spines.values():
        spine.set(visible=True, color=GRID)
    return inset
