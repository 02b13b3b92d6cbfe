"""Subgroups: each model's AUC in each, on one scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cxr.compare.nouns import Row
from cxr.compare.report.drawing import Plot, colour_of, framed
from cxr.compare.report.svg import INK, PANEL, inline_svg
from cxr.compare.report.words import area

WIDTH_INCHES, FOOT_INCHES, GROUP_INCHES, MODEL_INCHES = 8.6, 0.5, 0.24, 0.13


def group_plot(models: Sequence[Row], title: str = "AUC") -> Plot | None:
    """One block of lines a group, one line a model; None where there are no groups that can be judged. `title`: of
    which class the AUC is."""
    names = list(
        dict.fromkeys(
            (result.group.family, result.group.name) for row in models for result in row.groups if result.is_judged
        )
    )
    if not names:
        return None
    results = [{(each.group.family, each.group.name): each for each in row.groups} for row in models]
    step = 1.0
    offset = 0.56 / max(len(models) - 1, 1)
    height = FOOT_INCHES + len(names) * (GROUP_INCHES + MODEL_INCHES * len(models))
    figure, axes = framed(WIDTH_INCHES, height, grid="x")
    said, ends = [], []
    for line, key in enumerate(names):
        for position, (row, own) in enumerate(zip(models, results, strict=True)):
            estimate, place = own[key].auc, -step * line - offset * position + 0.28 * (len(models) > 1)
            colour = colour_of(position)
            axes.plot([estimate.low, estimate.high], [place, place], color=colour, linewidth=2.4, alpha=0.5)
            axes.plot(
                [estimate.value], [place], "o", color=colour, markersize=5.5, markeredgecolor=PANEL, markeredgewidth=1
            )
            ends += [estimate.low, estimate.high]
            said.append(f"{key[1]}: {row.name} {area(estimate)}")
    axes.set_yticks(
        [-step * line for line in range(len(names))], [f"{name}\n{family}" for family, name in names], parse_math=False
    )
    axes.tick_params(axis="y", labelcolor=INK, labelsize=8, length=0)
    axes.set_ylim(-len(names) + 0.4, 0.6)
    low, high = float(np.nanmin(ends)), float(np.nanmax(ends))
    space = max(high - low, 0.02) * 0.04
    axes.set_xlim(low - space, min(high + space, 1 + space / 2))
    heading = f"{title} by subgroup"
    return Plot(heading, inline_svg(figure, name="groups", description=f"{heading}. {'; '.join(said)}"))
