"""What the report's plots have in common. Matplotlib's own Figure is used, never pyplot: no window, no state between
reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cxr.compare.nouns import Row
from cxr.compare.report.svg import GRID, INK, MODEL_COLOURS, MUTED, PANEL

LINE_STYLES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (6, 2, 1.5, 2)), (0, (2, 1.5)))
DIAGONAL = (0, (1, 3))
BAND_OPACITY = 0.14


@dataclass(frozen=True, slots=True)
class Plot:
    """An inline SVG and its title."""

    title: str
    svg: str


def colour_index(position: int) -> int:
    """Which of the page's model colours a row has."""
    return position % len(MODEL_COLOURS)


def colour_of(position: int) -> str:
    """The stand-in colour that a model is drawn with."""
    return MODEL_COLOURS[colour_index(position)]


def line_style(position: int) -> Any:
    """The line style of a model: lines are told apart without colours too."""
    return LINE_STYLES[position % len(LINE_STYLES)]


def framed(width: float, height: float, *, grid: str = "both") -> tuple[Figure, Axes]:
    """A figure of so many inches and its axes, without a frame."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    frame(axes, grid=grid)
    return figure, axes


def frame(axes: Axes, *, grid: str = "both") -> None:
    """Grid lines and no box."""
    axes.set_facecolor("none")
    axes.grid(axis=grid, color=GRID, linewidth=0.8)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, length=0, labelsize=9)
    for spine in axes.spines.values():
        spine.set_visible(False)


def unit_square(axes: Axes) -> None:
    """Both axes from 0 to 1."""
    axes.set(xlim=(-0.012, 1.012), ylim=(-0.012, 1.012), aspect="equal")


def label_axes(axes: Axes, x: str, y: str) -> None:
    """Names of the axes."""
    axes.set_xlabel(x, color=INK, parse_math=False)
    axes.set_ylabel(y, color=INK, parse_math=False)


def operating_mark(axes: Axes, x: float, y: float, position: int, *, scale: float = 1.0) -> None:
    """The dot of a model's own threshold."""
    axes.plot(
        [x], [y], "o", color=colour_of(position), markersize=8.5 * scale, markeredgecolor=PANEL,
        markeredgewidth=1.6, zorder=5,
    )  # fmt: skip


def name_above(axes: Axes, text: str, height: float) -> None:
    """A row's name, at the left above its line."""
    axes.annotate(
        text, (0, height + 0.19), xycoords=("axes fraction", "data"), fontsize=8.5, color=INK, va="bottom",
        parse_math=False,
    )  # fmt: skip


def described(parts: Sequence[tuple[Row, str]]) -> str:
    """What a screen reader says of a plot of several models."""
    return "; ".join(f"{row.name} {said}" for row, said in parts)
