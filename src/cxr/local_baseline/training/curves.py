"""The training's curves as a picture: losses above, figures of the validation split below, over all epochs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from cxr.about import RESEARCH_USE
from cxr.errors import missing_package
from cxr.local_baseline.training.epochs import EpochResult

INCHES = (8.0, 6.0)
DOTS_PER_INCH = 110
#: Colours that people who see red and green alike can tell apart (Okabe and Ito 2008).
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#E69F00", "#009E73", "#8a8a8a"


def write_curves(history: Sequence[EpochResult], best_stage: str, best_epoch: int, path: Path) -> None:
    """Draw `history` into a PNG: cross-entropy (nats), and AUC and accuracy on validation (0 to 1), over the epochs of
    all stages, with the stages' borders and the best epoch.

    Raises MissingPackage without matplotlib, OSError when the file cannot be written.
    """
    try:
        # Not pyplot: no window system is looked for, and nothing is left in a global state.
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_package("matplotlib", "report") from None
    figure = Figure(figsize=INCHES, dpi=DOTS_PER_INCH, layout="constrained", facecolor="white")
    losses, figures = figure.subplots(2, 1, sharex=True)
    epochs = range(1, len(history) + 1)
    _lines(losses, epochs, history, (("loss", "training", BLUE), ("val_loss", "validation", ORANGE)))
    _lines(figures, epochs, history, (("val_auc", "AUC", ORANGE), ("val_accuracy", "accuracy", GREEN)))
    losses.set_ylabel("cross-entropy (nats)")
    figures.set_ylabel("on validation")
    figures.set_xlabel("epoch, over all stages")
    best = _number_of(history, best_stage, best_epoch)
    for axes in (losses, figures):
        _mark(axes, history, best)
        axes.legend(frameon=False, fontsize="small", loc="best")
    losses.set_title(f"Training. {RESEARCH_USE}.", fontsize="medium", loc="left")
    figure.savefig(path, format="png", metadata={"Software": None})


def _lines(axes: Any, epochs: range, history: Sequence[EpochResult], drawn: Sequence[tuple[str, str, str]]) -> None:
    for field, name, colour in drawn:
        values = [getattr(result, field) for result in history]
        axes.plot(epochs, values, color=colour, label=name, linewidth=1.6, marker="o", markersize=3)
    axes.grid(visible=True, color="#e6e6e6", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.get_major_locator().set_params(integer=True)


def _mark(axes: Any, history: Sequence[EpochResult], best: int) -> None:
    """The best epoch as a line, the stages' names where they begin."""
    axes.axvline(best, color=GREY, linewidth=1, linestyle="--", label=f"best epoch ({best})")
    first = 1
    stages = [(stage, len(list(results))) for stage, results in groupby(history, key=lambda result: result.stage)]
    for stage, length in stages:
        if first > 1:
            axes.axvline(first - 0.5, color=GREY, linewidth=0.8)
        if len(stages) > 1:
            place = {"xycoords": ("data", "axes fraction"), "fontsize": "small", "color": GREY, "va": "top"}
            axes.annotate(stage, (first - 0.45, 0.98), **place)
        first += length


def _number_of(history: Sequence[EpochResult], stage: str, epoch: int) -> int:
    """The epoch's number over all stages, from 1."""
    return next(number for number, one in enumerate(history, 1) if (one.stage, one.epoch) == (stage, epoch))
