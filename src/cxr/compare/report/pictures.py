"""All that is drawn on the report's page."""

from __future__ import annotations

from dataclasses import dataclass

from cxr.compare.metrics.probabilities import precision_recall_curve
from cxr.compare.nouns import Comparison, Row
from cxr.compare.report.bands import bands_of
from cxr.compare.report.calibration_plots import calibration_plot
from cxr.compare.report.curve_plots import precision_recall_plot, roc_plot
from cxr.compare.report.drawing import Plot
from cxr.compare.report.explorer import as_script_text, explorer_data
from cxr.compare.report.group_plots import group_plot
from cxr.compare.report.interval_plots import difference_plot, interval_plots
from cxr.compare.report.naming import against_the_rest, has_many_classes, heading
from cxr.compare.report.pareto_plots import pareto_plots
from cxr.compare.statistics.measures import Scored, scored


@dataclass(frozen=True, slots=True)
class Pictures:
    """Plots, and the explorer's data as JSON ("" where no threshold decides). `has_bands`: the curves have theirs;
    `has_groups`: there are subgroups, of which `groups` draws those that are judged."""

    roc: Plot
    precision_recall: Plot
    intervals: list[Plot]
    difference: Plot | None
    calibration: list[Plot]
    has_groups: bool
    groups: Plot | None
    pareto: list[Plot]
    explorer: str
    has_bands: bool
    prevalence_percent: str


def pictures_of(comparison: Comparison) -> Pictures:
    """Draw everything."""
    models = comparison.models
    cases = [_cases(row, comparison) for row in models]
    bands = [bands_of(each, comparison.draws) for each in cases]
    curves = [precision_recall_curve(each.is_positive, each.score) for each in cases]
    share = float(cases[0].is_positive.mean())
    thresholds = [row.threshold.value for row in models if row.threshold]
    whose = f", {against_the_rest(comparison)}" if has_many_classes(comparison) else ""
    area, explorer = heading("auc", comparison), ""
    if cases[0].is_binary:
        explorer = as_script_text(explorer_data([row.name for row in models], cases, thresholds))
    return Pictures(
        roc=roc_plot(models, bands, whose),
        precision_recall=precision_recall_plot(models, curves, bands, share, whose),
        intervals=interval_plots(comparison),
        difference=difference_plot(models, comparison.against) if comparison.against else None,
        calibration=[
            calibration_plot(row, each, position, comparison.positive_class)
            for position, (row, each) in enumerate(zip(models, cases, strict=True))
        ],
        has_groups=any(row.groups for row in models),
        groups=group_plot(models, area),
        pareto=pareto_plots(models, area),
        explorer=explorer,
        has_bands=all(band is not None for band in bands),
        prevalence_percent=f"{100 * (share if comparison.prevalence is None else comparison.prevalence):.1f}",
    )


def _cases(row: Row, comparison: Comparison) -> Scored:
    assert row.predictions is not None
    assert row.threshold is not None
    return scored(
        row.predictions.probabilities(comparison.classes),
        comparison.manifest,
        row.predictions.header.split,
        comparison.positive_class,
        row.threshold.value,
    )
