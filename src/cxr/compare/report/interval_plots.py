"""Estimates with their intervals, one line a model: the measures, and the differences to the reference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from cxr.compare.nouns import Comparison, Row
from cxr.compare.report import naming
from cxr.compare.report.drawing import Plot, colour_of, described, framed, name_above
from cxr.compare.report.svg import INK, MUTED, PANEL, inline_svg
from cxr.compare.report.words import SHARES, difference, shown
from cxr.compare.statistics.against_reference import ReferenceComparison
from cxr.compare.statistics.estimates import Estimate
from cxr.compare.statistics.measures import WHOLE

WIDTH_INCHES, FOOT_INCHES, LINE_INCHES = 4.3, 0.32, 0.42


def interval_plots(comparison: Comparison) -> list[Plot]:
    """For each measure of the first table, every model's estimate and interval on one scale."""
    return [
        _interval_plot(comparison.models, name, naming.heading(name, comparison))
        for name in naming.shown_measures(comparison)
    ]


def difference_plot(models: Sequence[Row], against: ReferenceComparison) -> Plot:
    """Each model less the reference on the margin's measure; the margin is the dotted line, no difference the solid
    one. Of several models a thin line beside each interval is the wider one that the verdict rests on."""
    positions = {row.name: position for position, row in enumerate(models)}
    figure, axes = framed(2 * WIDTH_INCHES, 0.5 + LINE_INCHES * len(against.models), grid="x")
    ends = [0.0, against.margin_end]
    for line, model in enumerate(against.models):
        estimate = model.differences[against.measure, WHOLE].estimate
        joint = model.joint
        axes.plot([joint.low, joint.high], [-line, -line], color=colour_of(positions[model.name]), linewidth=1.2)
        _draw(axes, estimate, positions[model.name], -line)
        ends += [end for each in (estimate, joint) for end in (each.low, each.high, each.value) if not np.isnan(end)]
    axes.axvline(0, color=INK, linewidth=1)
    axes.axvline(against.margin_end, color=MUTED, linewidth=1.2, linestyle=(0, (2, 2)))
    axes.set_ylim(-len(against.models) + 0.5, 0.5)
    axes.set_yticks(
        [-line for line in range(len(against.models))], [each.name for each in against.models], parse_math=False
    )
    axes.tick_params(axis="y", labelcolor=INK, labelsize=8.5)
    space = max(max(ends) - min(ends), 0.01) * 0.08
    axes.set_xlim(min(ends) - space, max(ends) + space)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:+.3g}" if abs(value) > 1e-12 else "0")
    said = "; ".join(
        f"{model.name} {difference(model.differences[against.measure, WHOLE].estimate)}: {model.verdict}"
        for model in against.models
    )
    title = f"Difference to {against.called}, margin {against.margin:g}"
    return Plot(title, inline_svg(figure, name="difference", description=f"{title}. {said}"))


def _interval_plot(models: Sequence[Row], metric: str, title: str) -> Plot:
    figure, axes = framed(WIDTH_INCHES, FOOT_INCHES + LINE_INCHES * len(models), grid="x")
    for position, row in enumerate(models):
        _draw(axes, row.metrics[metric], position, -position)
        name_above(axes, row.name, -position)
    axes.set(ylim=(-len(models) + 0.7, 0.8), yticks=[])
    low = min(np.nanmin([row.metrics[metric].low, row.metrics[metric].value]) for row in models)
    high = max(np.nanmax([row.metrics[metric].high, row.metrics[metric].value]) for row in models)
    space = max(high - low, 0.02) * 0.08
    axes.set_xlim(low - space, min(high + space, 1.004) if high <= 1 else high + space)
    axes.locator_params(axis="x", nbins=5)
    if metric in SHARES:
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
    said = described([(row, shown(metric, row.metrics[metric])) for row in models])
    return Plot(title, inline_svg(figure, name=f"interval-{metric}", description=f"{title}. {said}"))


def _draw(axes: Axes, estimate: Estimate, position: int, height: float) -> None:
    colour = colour_of(position)
    axes.plot(
        [estimate.low, estimate.high], [height, height], color=colour, linewidth=3.2, solid_capstyle="round", alpha=0.55
    )
    axes.plot([estimate.value], [height], "o", color=colour, markersize=7.5, markeredgecolor=PANEL, markeredgewidth=1.4)
