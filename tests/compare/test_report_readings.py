"""What the report says of a comparison is what its figures say: sides of a margin, stand-ins, thresholds, splits."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from cxr.compare.comparison import compare
from cxr.compare.question import Question
from cxr.compare.report import findings, render_report, words
from cxr.compare.report.interval_plots import difference_plot
from cxr.compare.results import results
from cxr.compare.results_tables import markdown_table


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


def test_a_reference_that_is_a_stand_in_is_called_one_wherever_it_is_named(judged, world, output, tmp_path):
    made = compare(
        [world.keras, world.tflite],
        world.manifest,
        output=tmp_path / "o",
        cache_dir=output / "cache",
        on_progress=judged.quiet,
        draws=20,
        question=Question(reference="automl edge"),
        pictures=False,
    )
    called = "automl edge (emulator stand-in)"
    (model,) = made.against.models
    assert f"to {called}, " in findings.verdict_sentence(model, made.against)
    assert f"reference: {called}, asked for with --reference;" in words.reference_sentence(made.against)
    assert f"As good as {called}? The reference is {called}:" in section(render_report(made), "reference")
    assert results(made)["reference"]["stand_in"] is True
    assert f"difference to {called}" in markdown_table(made)
    asked_for_another = replace(made.against, name="cnn5", stand_in=False)
    assert "stand-in" not in words.reference_sentence(asked_for_another)
