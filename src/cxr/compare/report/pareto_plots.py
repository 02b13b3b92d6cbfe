"""Quality beside what it costs: AUC against size, latency and money. A model is on the front when no other is at least
as good and at most as dear, and better in one of the two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from cxr.compare.nouns import Row
from cxr.compare.report.drawing import Plot, colour_of, framed, label_axes
from cxr.compare.report.svg import INK, MUTED, PANEL, inline_svg
from cxr.compare.report.words import decimal

WIDTH_INCHES, HEIGHT_INCHES = 4.0, 3.4
#: Models are told apart without colours too.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
#: From this ratio between the dearest and the cheapest on, the axis is logarithmic.
LOGARITHMIC_FROM = 8


@dataclass(frozen=True, slots=True)
class Burden:
    """What is paid: its name on the page, the axis with its unit, and where a row says it."""

    title: str
    axis: str
    of: Callable[[Row], float | None]


BURDENS = (
    Burden(
        "AUC and size",
        "Model size, MB",
        lambda row: None if row.model_size_bytes is None else row.model_size_bytes / 1e6,
    ),
    Burden("AUC and latency", "Milliseconds an image, here", lambda row: row.latency_ms),
    Burden(
        "AUC and training time", "Minutes of training", lambda row: row.effort.training_minutes if row.effort else None
    ),
    Burden("AUC and money", "USD, list price", lambda row: row.effort.shown_usd if row.effort else None),
)


def pareto_plots(models: Sequence[Row], title: str = "AUC") -> list[Plot]:
    """One plot for each burden that is known of two models or more and differs between them. `title`: of which class
    the AUC is."""
    made = []
    for number, burden in enumerate(BURDENS):
        known = [(position, row, paid) for position, row in enumerate(models) if (paid := burden.of(row)) is not None]
        if len(known) > 1 and len({paid for _, _, paid in known}) > 1:
            made.append(_plot(burden, known, number, title))
    return made


def pareto_front(quality: Sequence[float], paid: Sequence[float]) -> list[int]:
    """Numbers of the models that no other beats, the cheapest first. Undefined quality is never on the front."""
    front = [
        number
        for number, (own, price) in enumerate(zip(quality, paid, strict=True))
        if not np.isnan(own)
        and not any(
            other >= own and cheaper <= price and (other > own or cheaper < price)
            for other, cheaper in zip(quality, paid, strict=True)
        )
    ]
    return sorted(front, key=lambda number: paid[number])


def _plot(burden: Burden, known: Sequence[tuple[int, Row, float]], number: int, title: str) -> Plot:
    figure, axes = framed(WIDTH_INCHES, HEIGHT_INCHES)
    quality = [row.metrics["auc"].value for _, row, _ in known]
    paid = [price for _, _, price in known]
    front = pareto_front(quality, paid)
    axes.step(
        [paid[each] for each in front],
        [quality[each] for each in front],
        where="post",
        color=MUTED,
        linewidth=1,
        linestyle=(0, (3, 2)),
    )
    marks = []
    for position, row, price in known:
        estimate, colour = row.metrics["auc"], colour_of(position)
        axes.plot([price, price], [estimate.low, estimate.high], color=colour, linewidth=2.2, alpha=0.28)
        (mark,) = axes.plot(
            [price],
            [estimate.value],
            MARKERS[position % len(MARKERS)],
            color=colour,
            markersize=8,
            markeredgecolor=PANEL,
            markeredgewidth=1.4,
            linestyle="none",
            zorder=5,
        )
        marks.append(mark)
    _scale(axes, paid)
    names = [row.name for _, row, _ in known]
    legend = figure.legend(marks, names, loc="outside lower center", ncols=2, frameon=False, fontsize=8.5)
    for text in legend.get_texts():
        text.set(color=INK, parse_math=False)
    label_axes(axes, burden.axis, title)
    said = "; ".join(f"{row.name}: {price:.4g}, AUC {decimal(row.metrics['auc'].value)}" for _, row, price in known)
    said += ". On the front: " + ", ".join(known[each][1].name for each in front)
    return Plot(burden.title, inline_svg(figure, name=f"pareto-{number}", description=f"{burden.title}. {said}"))


def _scale(axes: Axes, paid: Sequence[float]) -> None:
    low, high = min(paid), max(paid)
    if low > 0 and high / low >= LOGARITHMIC_FROM:
        axes.set_xscale("log")
        axes.tick_params(which="minor", length=0)
        axes.set_xlim(low / 1.6, high * 1.6)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(lambda value, _: "")
        return
    space = (high - low) * 0.12
    axes.set_xlim(low - space, high + space)
