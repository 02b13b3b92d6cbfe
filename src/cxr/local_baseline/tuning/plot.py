"""tuning.png: the search's course, and its figure against each parameter."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxr.about import RESEARCH_USE
from cxr.errors import missing_package
from cxr.files import atomic_path
from cxr.local_baseline.recipes.overrides import HYPERPARAMETERS
from cxr.local_baseline.recipes.search_space import Parameter, Scale
from cxr.local_baseline.tuning.nouns import TrialRow, TrialState, Tuning

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 3
DOTS_PER_INCH = 110
INK, GRID, BEST = "#22303c", "#dde3e9", "#c2410c"
#: Colour and mark of each end that has a figure.
MARKS = {
    TrialState.FINISHED: ("#0067a8", "o"),
    TrialState.PRUNED: ("#9aa8b6", "v"),
    TrialState.OUT_OF_TIME: ("#8a6100", "s"),
}


def write_plot(tuning: Tuning, path: Path) -> None:
    """Draw the search. Raises MissingPackage without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_package("matplotlib", "report") from error
    parameters = tuning.request.space.parameters
    lines = 1 + math.ceil(len(parameters) / COLUMNS)
    figure = Figure(figsize=(4.2 * COLUMNS, 3.1 * lines), layout="constrained", dpi=DOTS_PER_INCH)
    grid = figure.add_gridspec(lines, COLUMNS)
    _course(figure.add_subplot(grid[0, :]), tuning)
    for number, parameter in enumerate(parameters):
        row, column = divmod(number, COLUMNS)
        _slice(figure.add_subplot(grid[row + 1, column]), tuning, parameter)
    figure.suptitle(f"{tuning.request.train.recipe}: {len(tuning.rows)} trials. {RESEARCH_USE}.", color=INK)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")


def _course(axes: Axes, tuning: Tuning) -> None:
    rows = sorted((row for row in tuning.rows if row.value is not None), key=lambda row: row.number)
    for state, (colour, mark) in MARKS.items():
        of_state = [row for row in rows if row.state is state]
        if of_state:
            axes.scatter(
                [row.number for row in of_state],
                [_figure(row) for row in of_state],
                color=colour,
                marker=mark,
                label=state.value,
            )
    best: list[float] = []
    better = max if tuning.request.maximise else min
    for row in rows:
        best.append(better([*best[-1:], _figure(row)]))
    axes.plot(
        [row.number for row in rows], best, color=BEST, linewidth=1.4, drawstyle="steps-post", label="best so far"
    )
    for row in tuning.rows:
        if row.value is None:
            axes.axvline(row.number, color=BEST, linewidth=0.8, linestyle=":")
    axes.set_xlabel("trial (0: the recipe as it is; dotted: failed)", color=INK)
    axes.locator_params(axis="x", integer=True)
    _finish(axes, tuning)
    if rows:
        axes.legend(frameon=False, fontsize=8, loc="best")


def _slice(axes: Axes, tuning: Tuning, parameter: Parameter) -> None:
    key = HYPERPARAMETERS[parameter.id]
    rows = [row for row in tuning.rows if row.value is not None and key in row.parameters]
    words = bool(parameter.values)

    def x(row: TrialRow) -> Any:
        value = row.parameters[key]
        return next(place for place, one in enumerate(parameter.values) if one == value) if words else value

    for row in rows:
        colour, mark = MARKS[row.state]
        axes.scatter([x(row)], [_figure(row)], color=colour, marker=mark)
    best = tuning.best
    if best is not None and key in best.parameters:
        axes.scatter([x(best)], [_figure(best)], s=130, facecolors="none", edgecolors=BEST)
    if words:
        axes.set_xticks(range(len(parameter.values)), [str(value) for value in parameter.values])
    elif parameter.scale is Scale.LOG:
        axes.set_xscale("log")
    share = tuning.importance.get(key)
    axes.set_title(key + ("" if share is None else f"  (importance {share:.0%})"), fontsize=9, color=INK)
    _finish(axes, tuning)


def _figure(row: TrialRow) -> float:
    return math.nan if row.value is None else row.value


def _finish(axes: Axes, tuning: Tuning) -> None:
    axes.set_ylabel(tuning.request.metric, color=INK)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, colors=INK)
    for spine in axes.spines.values():
        spine.set_visible(False)
