"""The report's plots. Matplotlib's own Figure is used, never pyplot: no window, no state between reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cxr.compare.nouns import Comparison, Row
from cxr.compare.report.svg import GRID, INK, MODEL_COLOURS, MUTED, PANEL, inline_svg
from cxr.compare.report.words import area, percent

LINE_STYLES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (6, 2, 1.5, 2)), (0, (2, 1.5)))
#: More corners than this cannot be told apart on paper: a longer curve is thinned for the picture (not for the
#: numbers).
DRAWN_POINTS = 1_500
#: The corner of good models is shown enlarged when all of them reach it.
INSET_FROM_AUC = 0.9
INSET_WIDTH = 0.25
SHOWN_INTERVALS = (
    ("auc", "AUC"),
    ("accuracy", "Accuracy"),
    ("sensitivity", "Sensitivity"),
    ("specificity", "Specificity"),
)


@dataclass(frozen=True, slots=True)
class Plot:
    """An inline SVG and its title."""

    title: str
    svg: str


def colour_index(position: int) -> int:
    """Which of the page's model colours a row has."""
    return position % len(MODEL_COLOURS)


def roc_plot(models: Sequence[Row]) -> Plot:
    """ROC curves of all models with their operating points, and the upper left corner enlarged where all curves reach
    it."""
    figure = Figure(figsize=(5.6, 5.6), layout="constrained")
    axes = figure.add_subplot()
    _frame(axes)
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (1, 3)))
    _draw_curves(axes, models)
    axes.set(xlim=(-0.012, 1.012), ylim=(-0.012, 1.012), aspect="equal")
    axes.set_xlabel("1 − specificity (false alarms)", color=INK)
    axes.set_ylabel("Sensitivity (found)", color=INK)
    if min(row.metrics["auc"].value for row in models) >= INSET_FROM_AUC:
        _draw_inset(axes, models)
    described = "; ".join(f"{row.name}: AUC {area(row.metrics['auc'])}" for row in models)
    return Plot("ROC curves", inline_svg(figure, name="roc", description=f"ROC curves. {described}"))


def interval_plots(models: Sequence[Row]) -> list[Plot]:
    """For each measure, every model's estimate and interval on one scale."""
    return [_interval_plot(models, name, title) for name, title in SHOWN_INTERVALS]


def plots(comparison: Comparison) -> tuple[Plot, list[Plot]]:
    """All plots of a report: the ROC curves, and the intervals of each measure."""
    return roc_plot(comparison.models), interval_plots(comparison.models)


def _draw_curves(axes: Axes, models: Sequence[Row], *, scale: float = 1.0) -> None:
    for position, row in enumerate(models):
        colour = MODEL_COLOURS[colour_index(position)]
        x, y = _thinned(row)
        axes.plot(x, y, color=colour, linewidth=1.9 * scale, linestyle=LINE_STYLES[position % len(LINE_STYLES)])
    for position, row in enumerate(models):
        colour = MODEL_COLOURS[colour_index(position)]
        x, y = row.operating_point
        axes.plot(
            [x], [y], "o", color=colour, markersize=8.5 * scale, markeredgecolor=PANEL, markeredgewidth=1.6, zorder=5
        )


def _thinned(row: Row) -> tuple[Any, Any]:
    x, y = row.roc.false_positive_rate, row.roc.true_positive_rate
    if len(x) <= DRAWN_POINTS:
        return x, y
    kept = np.unique(np.linspace(0, len(x) - 1, DRAWN_POINTS).astype(np.intp))
    return x[kept], y[kept]


def _draw_inset(axes: Axes, models: Sequence[Row]) -> None:
    inset = axes.inset_axes((0.36, 0.08, 0.61, 0.61))
    _frame(inset)
    inset.set_facecolor(PANEL)
    _draw_curves(inset, models, scale=0.85)
    inset.set(xlim=(-0.004, INSET_WIDTH), ylim=(1 - INSET_WIDTH, 1.004), aspect="equal")
    inset.tick_params(labelsize=8)
    inset.set_title("upper left corner, enlarged", fontsize=8.5, color=MUTED, pad=5, backgroundcolor=PANEL)
    for spine in inset.spines.values():
        spine.set(visible=True, color=GRID)


def _interval_plot(models: Sequence[Row], metric: str, title: str) -> Plot:
    figure = Figure(figsize=(4.3, 0.32 + 0.37 * len(models)), layout="constrained")
    axes = figure.add_subplot()
    _frame(axes, grid="x")
    for position, row in enumerate(models):
        colour, estimate = MODEL_COLOURS[colour_index(position)], row.metrics[metric]
        height = -position
        axes.plot(
            [estimate.low, estimate.high],
            [height, height],
            color=colour,
            linewidth=3.2,
            solid_capstyle="round",
            alpha=0.55,
        )
        axes.plot(
            [estimate.value], [height], "o", color=colour, markersize=7.5, markeredgecolor=PANEL, markeredgewidth=1.4
        )
        axes.annotate(
            row.name,
            (0, height + 0.14),
            xycoords=("axes fraction", "data"),
            fontsize=8.5,
            color=INK,
            va="bottom",
            parse_math=False,
        )
    axes.set(ylim=(-len(models) + 0.7, 0.8), yticks=[])
    low = min(np.nanmin([row.metrics[metric].low, row.metrics[metric].value]) for row in models)
    high = max(np.nanmax([row.metrics[metric].high, row.metrics[metric].value]) for row in models)
    margin = max(high - low, 0.02) * 0.08
    axes.set_xlim(low - margin, min(high + margin, 1.004) if high <= 1 else high + margin)
    axes.locator_params(axis="x", nbins=5)
    if metric != "auc":
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
    words = area if metric == "auc" else percent
    described = "; ".join(f"{row.name} {words(row.metrics[metric])}" for row in models)
    return Plot(title, inline_svg(figure, name=f"interval-{metric}", description=f"{title}. {described}"))


def _frame(axes: Axes, *, grid: str = "both") -> None:
    axes.set_facecolor("none")
    axes.grid(axis=grid, color=GRID, linewidth=0.8)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, length=0, labelsize=9)
    for spine in axes.spines.values():
        spine.set_visible(False)
