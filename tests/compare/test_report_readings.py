"""What the report says of a comparison is what its figures say: sides of a margin, stand-ins, thresholds, splits."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from cxr.compare.report import render_report
from cxr.compare.report.interval_plots import difference_plot


def section(page: str, name: str) -> str:
    """One part of the page, in one line of plain text."""
    text = re.search(rf'<section id="{name}">(.*?)</section>', page, re.DOTALL)[1]
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL)).split())


@pytest.mark.parametrize(
    ("measure", "side"), [("auc", "right"), ("brier", "left"), ("log_loss", "left"), ("calibration_error", "left")]
)
def test_the_margin_lies_on_the_side_where_a_model_is_worse(comparison, measure, side):
    against = replace(comparison.against, measure=measure)
    text = section(render_report(replace(comparison, against=against)), "reference")
    assert f"All of an interval {side} of it is within the margin, all of it {side} of 0 is better" in text
    uprights = re.findall(
        r'<path d="M ([\d.]+) [\d.]+\s+L \1 [\d.]+\s*"[^>]*?style="([^"]*)"',
        difference_plot(comparison.models, against).svg,
    )
    (margin,) = [float(place) for place, style in uprights if "stroke-dasharray" in style]
    (none,) = [float(place) for place, style in uprights if "--ink" in style]
    assert (margin < none) == (side == "right")
