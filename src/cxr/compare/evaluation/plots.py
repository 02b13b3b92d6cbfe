"""An evaluation's pictures, on paper (PNG) or on the page (inline SVG in the page's own colours)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from cxr.about import RESEARCH_USE
from cxr.compare.evaluation.nouns import Calibratedness, Evaluation
from cxr.compare.report.svg import GRID, INK, MODEL_COLOURS, MUTED, PANEL, inline_svg
from cxr.compare.report.words import decimal
from cxr.files import atomic_path

SIDE_INCHES = 4.6
DOTS_PER_INCH = 150
#: From no case to the most: the diagonal is right, all else wrong.
RIGHT, WRONG = ("#eef6f7", "#0b7a87"), ("#fdf1ec", "#be4628")


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours to draw with: real ones on paper, stand-ins for the style sheet's on the page."""

    ink: str
    muted: str
    grid: str
    panel: str
    line: str


PAPER = Palette(ink="#16202b", muted="#5a6775", grid="#dde3e9", panel="#ffffff", line="#0067a8")
PAGE = Palette(ink=INK, muted=MUTED, grid=GRID, panel=PANEL, line=MODEL_COLOURS[0])
Draw = Callable[[Evaluation, Axes, Palette], str]


def write_pictures(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Each picture as `<name>.png` in `folder`."""
    written = []
    for name, draw in PICTURES.items():
        figure, _ = _figure(evaluation, draw, PAPER, titled=True)
        path = folder / f"{name}.png"
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH, facecolor=PAPER.panel)
        written.append(path)
    return written


def page_pictures(evaluation: Evaluation) -> dict[str, str]:
    """Name -> inline SVG, of the pictures that the page does not draw as a table."""
    made = {}
    for name, draw in PICTURES.items():
        if name == "confusion":
            continue
        figure, description = _figure(evaluation, draw, PAGE, titled=False)
        made[name] = inline_svg(figure, name=name, description=description)
    return made


def _figure(evaluation: Evaluation, draw: Draw, palette: Palette, *, titled: bool) -> tuple[Figure, str]:
    figure = Figure(figsize=(SIDE_INCHES, SIDE_INCHES + (0.5 if titled else 0)), layout="constrained")
    axes = figure.add_subplot()
    axes.set_facecolor("none")
    axes.grid(color=palette.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=palette.muted, length=0, labelsize=9)
    for spine in axes.spines.values():
        spine.set_visible(False)
    description = draw(evaluation, axes, palette)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(palette.ink)
    if titled:
        axes.set_title(description, fontsize=9, color=palette.ink, parse_math=False, wrap=True)
        figure.supxlabel(f"{RESEARCH_USE}.", fontsize=7, color=palette.muted)
    return figure, description


def _roc(evaluation: Evaluation, axes: Axes, palette: Palette) -> str:
    corners = evaluation.roc
    axes.plot([0, 1], [0, 1], color=palette.muted, linewidth=1, linestyle=(0, (1, 3)))
    axes.plot(corners.false_positive_rate, corners.true_positive_rate, color=palette.line, linewidth=1.9)
    if evaluation.is_binary:
        found, cleared = evaluation.metrics["sensitivity"].value, evaluation.metrics["specificity"].value
        _mark(axes, 1 - cleared, found, palette)
    axes.set(xlabel="1 − specificity (false alarms)", ylabel="Sensitivity (found)")
    _unit_square(axes)
    return f"{_subject(evaluation)}: ROC curve, AUC {_decimals(evaluation, 'auc')}"


def _precision_recall(evaluation: Evaluation, axes: Axes, palette: Palette) -> str:
    curve = evaluation.precision_recall
    number = evaluation.classes.index(evaluation.positive_class)
    share = evaluation.reports[number].support / evaluation.images
    axes.plot([0, 1], [share, share], color=palette.muted, linewidth=1, linestyle=(0, (1, 3)))
    recall, precision = np.r_[0.0, curve.recall], np.r_[curve.precision[:1], curve.precision]
    axes.step(recall, precision, where="pre", color=palette.line, linewidth=1.9)
    if evaluation.is_binary:
        report = evaluation.reports[number]
        _mark(axes, report.recall.value, report.precision.value, palette)
    axes.set(xlabel="Recall (found)", ylabel="Precision (of those called)")
    _unit_square(axes)
    return (
        f"{_subject(evaluation)}: precision and recall, average precision {_decimals(evaluation, 'average_precision')}"
    )


def _reliability(evaluation: Evaluation, axes: Axes, palette: Palette) -> str:
    axes.plot([0, 1], [0, 1], color=palette.muted, linewidth=1, linestyle=(0, (1, 3)))
    if evaluation.uncalibrated:
        _bins(axes, evaluation.uncalibrated, palette.muted, "the model itself", hollow=True)
    _bins(axes, evaluation.calibrated, palette.line, "calibrated" if evaluation.uncalibrated else "the model itself")
    legend = axes.legend(loc="upper left", frameon=False, fontsize=8.5)
    for text in legend.get_texts():
        text.set_color(palette.ink)
    whose = evaluation.positive_class if evaluation.is_binary else "the called class"
    axes.set(xlabel=f"Stated probability of {whose}", ylabel="Share that came true")
    _unit_square(axes)
    error = f"expected calibration error {decimal(evaluation.calibrated.calibration_error)}"
    before = evaluation.uncalibrated
    return f"{_subject(evaluation)}: {error}" + (f" ({decimal(before.calibration_error)} before)" if before else "")


def _bins(axes: Axes, probabilities: Calibratedness, colour: str, label: str, *, hollow: bool = False) -> None:
    """Points as large as their bin is full."""
    cases = np.array([each.cases for each in probabilities.bins], dtype=np.float64)
    x = [each.mean_probability for each in probabilities.bins]
    y = [each.share_true for each in probabilities.bins]
    sizes = 16 + 160 * np.sqrt(cases / cases.max())
    axes.plot(x, y, color=colour, linewidth=1.2, label=label, linestyle=(0, (4, 2)) if hollow else "-")
    axes.scatter(x, y, s=sizes, facecolors="none" if hollow else colour, edgecolors=colour, alpha=0.75, zorder=4)


def _confusion(evaluation: Evaluation, axes: Axes, palette: Palette) -> str:
    matrix, classes = evaluation.confusion, evaluation.classes
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    maps = [LinearSegmentedColormap.from_list("shares", list(ends)) for ends in (WRONG, RIGHT)]
    colours = [
        [maps[row == column](shares[row, column]) for column in range(len(classes))] for row in range(len(classes))
    ]
    axes.imshow(np.array(colours))
    axes.grid(visible=False)
    for row in range(len(classes)):
        for column in range(len(classes)):
            dark = shares[row, column] > 0.55
            axes.text(
                column,
                row,
                f"{matrix[row, column]:,}\n{100 * shares[row, column]:.1f} %",
                ha="center",
                va="center",
                color="#ffffff" if dark else palette.ink,
            )
    ticks = range(len(classes))
    axes.set_xticks(ticks, [f"called\n{name}" for name in classes], parse_math=False)
    axes.set_yticks(ticks, [f"truly\n{name}" for name in classes], parse_math=False)
    return f"{_subject(evaluation)}: {evaluation.images:,} images"


def _mark(axes: Axes, x: float, y: float, palette: Palette) -> None:
    axes.plot([x], [y], "o", color=palette.line, markersize=8.5, markeredgecolor=palette.panel, markeredgewidth=1.6)


def _unit_square(axes: Axes) -> None:
    axes.set(xlim=(-0.012, 1.012), ylim=(-0.012, 1.012), aspect="equal")


def _subject(evaluation: Evaluation) -> str:
    return f"{evaluation.bundle.info.name}, {evaluation.split}"


def _decimals(evaluation: Evaluation, measure: str) -> str:
    estimate = evaluation.metrics[measure]
    return f"{decimal(estimate.value)} ({decimal(estimate.low)}–{decimal(estimate.high)})"


PICTURES: Mapping[str, Draw] = {
    "roc": _roc,
    "precision-recall": _precision_recall,
    "reliability": _reliability,
    "confusion": _confusion,
}
